//! How a vendor's requests differ from OpenAI's, as data of `vendors.toml`.

use atp_core::{Field, Fields, Operation};
use atp_dialects::openai::chat::{Echo, Prefill};
use atp_dialects::splice::{Edit, json_string};

use super::request::Edits;

/// What `POST /v1/completions` writes at most where the request names no number.
const COMPLETION_TOKENS: u64 = 16;

/// What has to be changed in a request for one vendor. Applied where a caller sends such a field, and
/// never to raw calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quirks {
    /// Whether the vendor knows `stream_options`. Where it does not, a caller's are taken out.
    pub stream_options: bool,
    /// Fields that it refuses and that do not change its answer.
    pub drop: Vec<Field>,
    /// Fields that it knows by another name.
    pub rename: Vec<Rename>,
    /// How it is asked to go on with an answer.
    pub prefill: Prefill,
    /// Whether it then begins with what it was given.
    pub echo: Echo,
}

/// A field and the vendor's name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    field: Field,
    /// The new key, a raw JSON string.
    key: String,
    /// The field that has the new name for its own: it goes, because the renamed one outranks it.
    outranked: Option<Field>,
}

impl Rename {
    /// `field` is called `name`.
    #[must_use]
    pub fn new(field: Field, name: &str) -> Self {
        let outranked = Field::ALL.into_iter().find(|field| field.name() == name);
        Self { field, key: json_string(name), outranked }
    }
}

impl Default for Quirks {
    /// None: OpenAI's own dialect.
    fn default() -> Self {
        Self {
            stream_options: true,
            drop: Vec::new(),
            rename: Vec::new(),
            prefill: Prefill::default(),
            echo: Echo::default(),
        }
    }
}

impl Quirks {
    /// Adds what has to be changed in a body with these fields.
    pub(super) fn edits<'a>(&'a self, fields: &Fields, edits: &mut Edits<'a>) {
        let mut remove = |field| {
            if fields.last(field).is_some() {
                edits.push(Edit::Remove(field));
            }
        };
        if !self.stream_options {
            remove(Field::StreamOptions);
        }
        self.drop.iter().copied().for_each(&mut remove);
        for Rename { field, key, outranked } in &self.rename {
            if fields.last(*field).is_some() {
                edits.extend(outranked.map(Edit::Remove));
                edits.push(Edit::Rename(*field, key));
            }
        }
    }

    /// Adds what makes `most` the most output tokens that are asked for, where more or no number is. To be
    /// added last, because it outranks what else is changed in the same fields.
    pub(super) fn limit<'a>(&self, operation: Operation, fields: &Fields, most: (u64, &'a str), edits: &mut Edits<'a>) {
        let (most, text) = most;
        // A completion of the older kind that names no number has few tokens; it is not to get more.
        let asked = fields.max_tokens.or((operation == Operation::Completions).then_some(COMPLETION_TOKENS));
        if asked.is_some_and(|asked| asked <= most) {
            return;
        }
        // The field that counts: the newer one where it is sent, and where none is, whichever of the two
        // the operation has.
        let sent =
            [Field::MaxCompletionTokens, Field::MaxTokens].into_iter().find(|field| fields.last(*field).is_some());
        let field = match (sent, operation) {
            (Some(field), _) => field,
            (None, Operation::Completions) => Field::MaxTokens,
            (None, _) => Field::MaxCompletionTokens,
        };
        let renamed = self.rename.iter().find(|rename| rename.field == field).and_then(|rename| rename.outranked);
        if let Some(other) = renamed {
            edits.push(Edit::Remove(field));
            edits.push(Edit::Set(other, text));
        } else {
            edits.push(Edit::Set(field, text));
        }
    }
}
