//! A model whose weights are played by hand, for tests: its tokens are the bytes, and three more.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::quantized::gguf_file::{Content, Value, VersionedMagic};

pub(crate) use super::line::{Engine, Reading};
use super::template::Template;
use super::words::Words;
use super::{Local, LocalConfig, Parts};

/// The letter `a`.
pub(crate) const WORD: u32 = 97;
/// A token without a text.
pub(crate) const NOTHING: u32 = 256;
/// The end.
pub(crate) const END: u32 = 257;

/// A provider of one slot.
pub(crate) fn local(engine: Box<dyn Engine>, context: u64, line: usize) -> Local {
    let words = words();
    let source = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}";
    let template = Some(Template::new(source.to_owned(), words.names()).unwrap());
    let (name, model) = (Arc::from("local"), PathBuf::new());
    let config = LocalConfig { name, model, context: None, slots: 1, line, threads: None };
    Local::of(Parts { engine, words, template, fingerprint: "fp_played".to_owned(), context }, &config).unwrap()
}

/// A vocabulary of bytes.
fn words() -> Words {
    let plain = super::words::plain();
    let mut signs: Vec<(u8, char)> = plain.into_iter().map(|(sign, byte)| (byte, sign)).collect();
    signs.sort_unstable();
    let special = ["<nothing>", "<|im_end|>"].map(str::to_owned);
    let tokens: Vec<String> = signs.into_iter().map(|(_, sign)| sign.to_string()).chain(special).collect();
    let kinds = (0..tokens.len()).map(|at| Value::I32(if at < 256 { 1 } else { 3 })).collect();
    let metadata: HashMap<String, Value> = [
        ("tokenizer.ggml.model", Value::String("gpt2".to_owned())),
        ("tokenizer.ggml.tokens", Value::Array(tokens.into_iter().map(Value::String).collect())),
        ("tokenizer.ggml.merges", Value::Array(Vec::new())),
        ("tokenizer.ggml.token_type", Value::Array(kinds)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let content =
        Content { magic: VersionedMagic::GgufV3, metadata, tensor_infos: HashMap::new(), tensor_data_offset: 0 };
    Words::read(&content).unwrap()
}
