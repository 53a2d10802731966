//! What a session file says about itself, in JSON.

use serde::{Deserialize, Serialize};

use super::{Identity, Snapshot, fault};
use crate::cache::{KvCache, KvShape};
use crate::chat::Message;
use crate::error::{PocketError, Result, SessionFault};

/// The manifest. Fields that a later writer adds are passed over.
#[derive(Serialize, Deserialize)]
pub struct Manifest {
    /// Name of the model, for messages.
    model_name: String,
    /// [`Identity::model`] in hexadecimal.
    model: String,
    /// [`Identity::template`] in hexadecimal.
    template: String,
    /// The messages, the system message first.
    pub transcript: Vec<Message>,
    /// Turns that are no longer sent to the model.
    #[serde(default)]
    pub unsent_turns: usize,
    /// The keys and values that follow, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<KvManifest>,
}

/// What the keys and values in a file look like.
#[derive(Serialize, Deserialize)]
pub struct KvManifest {
    /// Positions.
    pub tokens: u64,
    /// Name of the element type.
    r#type: String,
    /// Bytes of a position, over all layers.
    position_bytes: u64,
    /// `[kv_heads, head_dim]` of each layer.
    layers: Vec<(usize, usize)>,
}

impl Manifest {
    /// The manifest of a snapshot.
    pub fn new(identity: &Identity, snapshot: &Snapshot, kv: Option<&(&KvCache, KvShape)>) -> Self {
        Self {
            model_name: identity.name().to_owned(),
            model: hex(&identity.model()),
            template: hex(&identity.template()),
            transcript: snapshot.transcript.clone(),
            unsent_turns: snapshot.unsent_turns,
            kv: kv.map(|(cache, shape)| KvManifest {
                tokens: cache.len() as u64,
                r#type: shape.ty.to_string(),
                position_bytes: shape.position_bytes() as u64,
                layers: shape.layers.clone(),
            }),
        }
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| PocketError::Internal {
            reason: format!("a transcript that is no JSON: {error}"),
        })
    }

    /// From JSON.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|error| fault(SessionFault::Damaged, format!("in the manifest: {error}")))
    }

    /// Refuses the file of another model.
    pub fn check(&self, identity: &Identity) -> Result<()> {
        let name = if self.model_name.is_empty() {
            "a model without a name"
        } else {
            &self.model_name
        };
        if self.model != hex(&identity.model()) {
            let detail = format!("it was saved with {name} ({})", short(&self.model));
            return Err(fault(SessionFault::OtherModel, detail));
        }
        if self.template != hex(&identity.template()) {
            let detail = format!("{name} had another chat template then");
            return Err(fault(SessionFault::OtherTemplate, detail));
        }
        Ok(())
    }
}

impl KvManifest {
    /// Bytes of a position; `None` for a number that no file has.
    pub fn position_bytes(&self) -> Option<u64> {
        // Positions are read into memory one at a time; real models have below a megabyte.
        (self.position_bytes <= 1 << 30).then_some(self.position_bytes)
    }

    /// The shape; `None` for an element type that this version does not know.
    pub fn shape(&self) -> Option<KvShape> {
        let shape = KvShape {
            ty: self.r#type.parse().ok()?,
            layers: self.layers.clone(),
        };
        let sane = |&(heads, dim): &(usize, usize)| heads <= 1 << 16 && dim <= 1 << 16;
        let sane = shape.layers.len() <= 1 << 12 && shape.layers.iter().all(sane);
        (sane && shape.position_bytes() as u64 == self.position_bytes).then_some(shape)
    }
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first digits of a digest, for messages; a file may hold any text there.
fn short(hex: &str) -> String {
    hex.chars().take(12).collect()
}
