//! What a model serves where its file does not say: by the names that its providers know it by.

use atp_core::{Capabilities, Capability};

use super::super::resolved::{Target, TargetModel};

/// Parts of the names of models that serve one endpoint and no chats, as the price table and the providers' lists
/// of models have them.
const NAMES: [(&str, Capability); 12] = [
    ("embed", Capability::Embeddings),
    ("bge-", Capability::Embeddings),
    ("minilm", Capability::Embeddings),
    ("moderation", Capability::Moderations),
    ("whisper", Capability::Speech),
    ("tts", Capability::Speech),
    ("transcribe", Capability::Speech),
    ("dall-e", Capability::Imaging),
    ("gpt-image", Capability::Imaging),
    ("imagen", Capability::Imaging),
    ("stable-diffusion", Capability::Imaging),
    ("flux", Capability::Imaging),
];

/// What a model serves by the names of its targets, where all of them say the same; `None` where it is taken to chat.
pub(super) fn by_name(targets: &[Target]) -> Option<Capabilities> {
    let mut all = targets.iter().map(|target| match &target.model {
        TargetModel::Fixed(name) => of(name),
        TargetModel::Matched { .. } => None,
    });
    let first = all.next()??;
    all.all(|each| each == Some(first)).then(|| Capabilities::default().with(first))
}

fn of(name: &str) -> Option<Capability> {
    let name = name.to_ascii_lowercase();
    NAMES.into_iter().find(|(part, _)| name.contains(part)).map(|(_, endpoint)| endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_do_not_chat_are_known_by_name() {
        for (name, endpoint) in [
            ("text-embedding-3-small", Some(Capability::Embeddings)),
            ("nomic-embed-text", Some(Capability::Embeddings)),
            ("BAAI/bge-m3", Some(Capability::Embeddings)),
            ("omni-moderation-latest", Some(Capability::Moderations)),
            ("whisper-1", Some(Capability::Speech)),
            ("gpt-4o-mini-tts", Some(Capability::Speech)),
            ("gpt-4o-transcribe", Some(Capability::Speech)),
            ("dall-e-3", Some(Capability::Imaging)),
            ("gpt-4o-mini", None),
            ("gpt-4o-audio-preview", None),
            ("claude-opus-4-5", None),
            ("llama3.2-vision", None),
        ] {
            assert_eq!(of(name), endpoint, "{name}");
        }
    }
}
