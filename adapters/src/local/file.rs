//! A GGUF file: which model it holds, and whether it can be run here.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::gguf_file::Content;

use super::line::{Engine, Reading};
use super::llama::{Llama, Past, Sizes};
use super::template::Template;
use super::words::{Words, number};

/// Why a file cannot be run: names the file, what was found in it, and what would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalError(pub String);

impl std::fmt::Display for LocalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LocalError {}

/// The architectures that are known.
const ARCHITECTURES: [&str; 1] = ["llama"];

/// What a file holds.
pub(super) struct Opened {
    pub(super) llama: Llama,
    pub(super) words: Words,
    /// `None` where the file has none: then there are completions only.
    pub(super) template: Option<Template>,
    pub(super) fingerprint: String,
}

/// Reads a file whole.
///
/// # Errors
/// Whatever is missing or not known.
pub(super) fn open(path: &Path, context: Option<u32>) -> Result<Opened, LocalError> {
    let wrong = |why: String| LocalError(format!("the model {} cannot be run: {why}", path.display()));
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let size = file.metadata().map_err(|error| wrong(error.to_string()))?.len();
    let mut file = BufReader::new(file);
    let content = Content::read(&mut file).map_err(|error| wrong(format!("it is no GGUF file ({error})")))?;
    let sizes = sizes(&content, context).map_err(wrong)?;
    let words = Words::read(&content).map_err(wrong)?;
    let source = content.metadata.get("tokenizer.chat_template").and_then(|text| text.to_string().ok());
    let template = source.map(|source| Template::new(source.clone(), words.names())).transpose();
    let template = template.map_err(|error| wrong(format!("its chat template cannot be used: {error}")))?;
    let llama = Llama::read(&content, &mut file, sizes).map_err(|error| wrong(error.to_string()))?;
    let seen = format!("{size} {} {:?}", content.tensor_infos.len(), content.metadata.get("general.name"));
    let fingerprint = format!("fp_{:016x}", crate::dice::hash(seen.as_bytes()));
    Ok(Opened { llama, words, template, fingerprint })
}

fn sizes(content: &Content, context: Option<u32>) -> Result<Sizes, String> {
    let told = |key: &str| content.metadata.get(key);
    let architecture = told("general.architecture").and_then(|name| name.to_string().ok());
    let architecture = architecture.ok_or("it does not tell its architecture")?;
    if !ARCHITECTURES.contains(&architecture.as_str()) {
        let known = ARCHITECTURES.join(", ");
        return Err(format!("its architecture is `{architecture}`; those that are known are {known}"));
    }
    let count = |key: &str| {
        let found = told(&format!("llama.{key}")).and_then(number).and_then(|number| usize::try_from(number).ok());
        found.filter(|number| *number > 0).ok_or_else(|| format!("its llama.{key} is missing or 0"))
    };
    if count("expert_count").is_ok_and(|experts| experts > 1) {
        return Err("it is a mixture of experts, which is not known".to_owned());
    }
    let float = |key: &str| told(&format!("llama.{key}")).and_then(|number| number.to_f32().ok());
    let heads = count("attention.head_count")?;
    let most = count("context_length")?;
    let sizes = Sizes {
        blocks: count("block_count")?,
        width: count("embedding_length")?,
        heads,
        kv_heads: count("attention.head_count_kv").unwrap_or(heads),
        context: context.map_or(most, |asked| most.min(asked as usize)),
        epsilon: float("attention.layer_norm_rms_epsilon").ok_or("its norm's epsilon is missing")?,
        rope_base: float("rope.freq_base").unwrap_or(10_000.0),
    };
    let head = sizes.width / heads;
    if !sizes.width.is_multiple_of(heads)
        || !heads.is_multiple_of(sizes.kv_heads)
        || count("rope.dimension_count").unwrap_or(head) != head
    {
        return Err(format!("{heads} heads of {} do not divide its width of {}", sizes.kv_heads, sizes.width));
    }
    if sizes.context == 0 {
        return Err("`context` is 0; the smallest is 1".to_owned());
    }
    Ok(sizes)
}

impl Engine for Llama {
    fn begin<'a>(&'a self) -> Box<dyn Reading + 'a> {
        Box::new(LlamaReading { llama: self, past: Past::new(self.sizes()) })
    }
}

struct LlamaReading<'a> {
    llama: &'a Llama,
    past: Past,
}

impl Reading for LlamaReading<'_> {
    fn read(&mut self, tokens: &[u32]) -> Result<Vec<f32>, String> {
        self.llama.pass(&mut self.past, tokens).map_err(|error| error.to_string())
    }
}
