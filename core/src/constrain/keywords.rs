//! The keywords of JSON Schema, and what becomes of each.

/// What a keyword is to the walk over a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Tells people something; asks nothing of a value.
    Annotation,
    /// Asks something of a value by itself, for values of one type if so named.
    Assertion(Option<&'static str>),
    /// Holds one schema, for values of the type.
    Schema(&'static str),
    /// Holds one schema or a list of them, for values of the type.
    SchemaOrList(&'static str),
    /// Holds a list of schemas, for values of the type.
    List(&'static str),
    /// Holds schemas by name, for values of the type.
    Map(&'static str),
    /// Holds a list of schemas that describe the value itself.
    InPlace,
    /// Names a schema that describes the value itself.
    Reference,
    /// Lists the values that are allowed.
    Values,
    /// Cannot be enforced while a text is written from left to right.
    Refused,
}

use Role::{
    Annotation, Assertion, InPlace, List, Map, Reference, Refused, Schema, SchemaOrList, Values,
};

/// Every keyword of the drafts from 4 to 2020-12. Others mean nothing to a schema, and are ignored.
const KEYWORDS: &[(&str, Role)] = &[
    ("$anchor", Annotation),
    ("$comment", Annotation),
    ("$defs", Annotation),
    ("$id", Annotation),
    ("$schema", Annotation),
    ("contentEncoding", Annotation),
    ("contentMediaType", Annotation),
    ("default", Annotation),
    ("definitions", Annotation),
    ("deprecated", Annotation),
    ("description", Annotation),
    ("examples", Annotation),
    ("id", Annotation),
    ("readOnly", Annotation),
    ("title", Annotation),
    ("writeOnly", Annotation),
    ("type", Assertion(None)),
    ("const", Values),
    ("enum", Values),
    ("$ref", Reference),
    ("allOf", InPlace),
    ("anyOf", InPlace),
    ("oneOf", InPlace),
    ("additionalItems", Schema("array")),
    ("items", SchemaOrList("array")),
    ("maxItems", Assertion(Some("array"))),
    ("minItems", Assertion(Some("array"))),
    ("prefixItems", List("array")),
    ("additionalProperties", Schema("object")),
    ("maxProperties", Assertion(Some("object"))),
    ("minProperties", Assertion(Some("object"))),
    ("patternProperties", Map("object")),
    ("properties", Map("object")),
    ("required", Assertion(Some("object"))),
    ("format", Assertion(Some("string"))),
    ("maxLength", Assertion(Some("string"))),
    ("minLength", Assertion(Some("string"))),
    ("pattern", Assertion(Some("string"))),
    ("exclusiveMaximum", Assertion(Some("number"))),
    ("exclusiveMinimum", Assertion(Some("number"))),
    ("maximum", Assertion(Some("number"))),
    ("minimum", Assertion(Some("number"))),
    ("multipleOf", Assertion(Some("number"))),
    ("$dynamicAnchor", Refused),
    ("$dynamicRef", Refused),
    ("$recursiveAnchor", Refused),
    ("$recursiveRef", Refused),
    ("contains", Refused),
    ("dependencies", Refused),
    ("dependentRequired", Refused),
    ("dependentSchemas", Refused),
    ("else", Refused),
    ("if", Refused),
    ("maxContains", Refused),
    ("minContains", Refused),
    ("not", Refused),
    ("propertyNames", Refused),
    ("then", Refused),
    ("unevaluatedItems", Refused),
    ("unevaluatedProperties", Refused),
    ("uniqueItems", Refused),
];

impl Role {
    /// The role of a keyword; an annotation where it is none.
    pub(super) fn of(keyword: &str) -> Role {
        let row = KEYWORDS.iter().find(|row| row.0 == keyword);
        row.map_or(Annotation, |row| row.1)
    }

    /// The type of the values that the keyword is about, if it is about one.
    pub(super) fn about(self) -> Option<&'static str> {
        match self {
            Assertion(about) => about,
            Schema(ty) | SchemaOrList(ty) | List(ty) | Map(ty) => Some(ty),
            Annotation | InPlace | Reference | Values | Refused => None,
        }
    }

    /// Whether the keyword describes the value itself by other schemas or by listing it.
    pub(super) fn is_applied_in_place(self) -> bool {
        matches!(self, InPlace | Reference | Values)
    }
}
