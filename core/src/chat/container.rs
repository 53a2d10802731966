//! The lists and maps a template sees, metered and bounded in depth.
//!
//! minijinja's fuel pays for instructions and for strings, but not for walking nested containers: a
//! list that holds the same list twice, thirty times over, is small in memory and takes 2³⁰ steps
//! to print or to compare. So every container of a render is one of the two types here. Each visit
//! of one is charged to a budget of the rendering thread, and when the budget is spent the render
//! unwinds (see [`Exhausted`]). Depth is bounded when a container is built, so that no walk, drop
//! or comparison can recurse deeply.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectExt, ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::json::python_number;

/// The deepest nesting of containers a template may build or be given.
pub(super) const MAX_DEPTH: usize = 128;

/// The cost of visiting one item, in the unit of the budget: one byte of text.
const ITEM_COST: u64 = 16;

/// A map with more entries than this looks keys up in a hash table.
const LINEAR_LOOKUP: usize = 8;

thread_local! {
    /// What is left of the running render's budget. Threads that do not render are not limited.
    static BUDGET: Cell<u64> = const { Cell::new(u64::MAX) };
}

/// The panic payload that ends a render whose budget is spent.
///
/// Unwinding is the only way out: comparisons and formatting inside the engine cannot return an
/// error. It is raised with `resume_unwind`, so no panic hook runs, and caught where the render
/// starts.
pub(super) struct Exhausted;

impl Exhausted {
    /// Whether a panic payload is this one.
    pub(super) fn is(payload: &(dyn Any + Send)) -> bool {
        payload.is::<Self>()
    }
}

/// Gives the current thread a budget of `units` for the render it is about to start.
pub(super) fn set_budget(units: u64) {
    BUDGET.with(|left| left.set(units));
}

/// Takes `units` from the budget of the current thread, and unwinds when it does not have them.
pub(super) fn charge(units: u64) {
    let paid = BUDGET.with(|left| match left.get().checked_sub(units) {
        Some(rest) => {
            left.set(rest);
            true
        }
        None => false,
    });
    if !paid {
        resume_unwind(Box::new(Exhausted));
    }
}

/// Charges for building a container of `items` items that are not built yet.
pub(super) fn charge_items(items: usize) {
    charge((items as u64).saturating_mul(ITEM_COST));
}

/// What printing or comparing one value costs, its nested containers left out: those charge for
/// themselves.
fn visit_cost(value: &Value) -> u64 {
    ITEM_COST + value.as_str().map_or(0, |text| text.len() as u64)
}

/// How deep a value nests: 0 for a scalar. Only for values that hold no foreign containers.
fn depth_of(value: &Value) -> usize {
    if let Some(list) = value.downcast_object_ref::<List>() {
        list.depth
    } else if let Some(dict) = value.downcast_object_ref::<Dict>() {
        dict.depth
    } else {
        0
    }
}

fn too_deep() -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("containers nest deeper than {MAX_DEPTH}"),
    )
}

/// A list or a tuple.
pub(super) struct List {
    items: Vec<Value>,
    tuple: bool,
    depth: usize,
    cost: u64,
}

impl List {
    /// A list of `items`, each of which must already be a scalar, a [`List`] or a [`Dict`].
    pub(super) fn value(items: Vec<Value>) -> Result<Value, Error> {
        Self::build(items, false)
    }

    /// The same as a tuple, which differs only in how it prints.
    pub(super) fn tuple(items: Vec<Value>) -> Result<Value, Error> {
        Self::build(items, true)
    }

    fn build(items: Vec<Value>, tuple: bool) -> Result<Value, Error> {
        let depth = 1 + items.iter().map(depth_of).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let cost = items.iter().map(visit_cost).sum();
        charge_items(items.len());
        Ok(Value::from_object(Self {
            items,
            tuple,
            depth,
            cost,
        }))
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<list of {}>", self.items.len())
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.items.get(key.as_usize()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        charge(self.cost);
        Enumerator::Seq(self.items.len())
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.items.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        charge(self.cost);
        f.write_str(if self.tuple { "(" } else { "[" })?;
        for (i, item) in self.items.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            write_repr(f, item)?;
        }
        if self.tuple && self.items.len() == 1 {
            f.write_str(",")?;
        }
        f.write_str(if self.tuple { ")" } else { "]" })
    }
}

/// A map that keeps the order of insertion, as Python's `dict` does.
pub(super) struct Dict {
    entries: Vec<(Value, Value)>,
    /// Key to position, for maps that are not searched from end to end.
    index: Option<HashMap<Value, usize>>,
    depth: usize,
    cost: u64,
}

impl Dict {
    /// A map of `pairs`, whose values must already be scalars, [`List`]s or [`Dict`]s. A key that
    /// comes twice keeps its first place and its last value.
    pub(super) fn value(pairs: Vec<(Value, Value)>) -> Result<Value, Error> {
        charge_items(pairs.len().saturating_mul(2));
        let mut entries: Vec<(Value, Value)> = Vec::with_capacity(pairs.len());
        let mut index: HashMap<Value, usize> = HashMap::new();
        for (key, value) in pairs {
            if key.as_object().is_some() {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "a container cannot be the key of a map",
                ));
            }
            match index.get(&key).and_then(|&at| entries.get_mut(at)) {
                Some(entry) => entry.1 = value,
                None => {
                    index.insert(key.clone(), entries.len());
                    entries.push((key, value));
                }
            }
        }
        let depth = 1 + entries.iter().map(|e| depth_of(&e.1)).max().unwrap_or(0);
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let cost = entries
            .iter()
            .map(|(key, value)| visit_cost(key) + visit_cost(value))
            .sum();
        let index = (entries.len() > LINEAR_LOOKUP).then_some(index);
        Ok(Value::from_object(Self {
            entries,
            index,
            depth,
            cost,
        }))
    }

    /// A map with text keys.
    pub(super) fn from_fields(fields: Vec<(&str, Value)>) -> Result<Value, Error> {
        Self::value(
            fields
                .into_iter()
                .map(|(key, value)| (Value::from(key), value))
                .collect(),
        )
    }
}

impl fmt::Debug for Dict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<map of {}>", self.entries.len())
    }
}

impl Object for Dict {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if key.as_object().is_some() {
            return None;
        }
        let at = match &self.index {
            Some(index) => *index.get(key)?,
            None => self.entries.iter().position(|(k, _)| k == key)?,
        };
        self.entries.get(at).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        charge(self.cost);
        self.mapped_rev_key_value_enumerator(|this| Box::new(this.entries.iter().cloned()))
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.entries.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        charge(self.cost);
        f.write_str("{")?;
        for (i, (key, value)) in self.entries.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { ", " })?;
            write_repr(f, key)?;
            f.write_str(": ")?;
            write_repr(f, value)?;
        }
        f.write_str("}")
    }
}

/// Writes what Python's `repr` makes of an item.
fn write_repr(f: &mut fmt::Formatter<'_>, item: &Value) -> fmt::Result {
    match python_number(item) {
        Some(text) => f.write_str(&text),
        None => write!(f, "{item:?}"),
    }
}

/// Copies a container the engine made (a slice, a concatenation, a filter's result, a namespace)
/// into a [`List`] or [`Dict`]; scalars and containers that are metered already pass through.
///
/// # Errors
/// Nesting deeper than [`MAX_DEPTH`], or an item whose evaluation failed.
pub(super) fn hold(value: Value) -> Result<Value, Error> {
    hold_at(value, 0)
}

fn hold_at(value: Value, depth: usize) -> Result<Value, Error> {
    if value.downcast_object_ref::<List>().is_some()
        || value.downcast_object_ref::<Dict>().is_some()
    {
        return Ok(value);
    }
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()?.checked() {
                charge(ITEM_COST);
                items.push(hold_at(item?, depth + 1)?);
            }
            List::build(items, value.is_tuple())
        }
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for pair in value
                .as_object()
                .and_then(|o| o.try_iter_pairs())
                .into_iter()
                .flatten()
            {
                charge(ITEM_COST);
                pairs.push((pair.0, hold_at(pair.1, depth + 1)?));
            }
            Dict::value(pairs)
        }
        _ => Ok(value),
    }
}

/// [`hold`] for the value of a plain `{% set name = … %}`: maps of the engine pass, because a
/// namespace must stay the object that `{% set ns.x = … %}` can change.
pub(super) fn bind(value: Value) -> Result<Value, Error> {
    match value.kind() {
        ValueKind::Map => Ok(value),
        _ => hold(value),
    }
}

/// The template's view of a JSON value.
///
/// # Errors
/// Nesting deeper than [`MAX_DEPTH`].
pub(super) fn from_json(json: &serde_json::Value) -> Result<Value, Error> {
    from_json_at(json, 0)
}

fn from_json_at(json: &serde_json::Value, depth: usize) -> Result<Value, Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    Ok(match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(b) => Value::from(*b),
        serde_json::Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(n), _) => Value::from(n),
            (_, Some(n)) => Value::from(n),
            _ => Value::from(n.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(s) => Value::from(s.as_str()),
        serde_json::Value::Array(items) => {
            let items = items.iter().map(|item| from_json_at(item, depth + 1));
            List::value(items.collect::<Result<_, _>>()?)?
        }
        serde_json::Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                Ok((Value::from(key.as_str()), from_json_at(value, depth + 1)?))
            });
            Dict::value(fields.collect::<Result<_, Error>>()?)?
        }
    })
}
