//! Between texts and tokens, by the vocabulary in the file.
//!
//! Byte pair encoding as GPT-2 has it: a text is cut into pieces by the regular expressions that the file names
//! (`tokenizer.ggml.pre`), and each piece is merged from its bytes. Special tokens are found in any text, as
//! llama.cpp finds them, because the chat template writes them as text.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::{Content, Value};
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

/// GPT-2's cut.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Llama 3's.
const LLAMA3: &str = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Each digit by itself, before GPT-2's cut.
const DIGIT: &str = r"\p{N}";
/// A token of the kind that no text is made of, in `tokenizer.ggml.token_type`.
const CONTROL: u64 = 3;
/// A token that its maker has added to the vocabulary.
const ADDED: u64 = 4;
/// Names of tokens that end an answer, beside those that the file names by number; llama.cpp knows them too.
const ENDS: [&str; 5] = ["<|im_end|>", "<|eot_id|>", "<|endoftext|>", "<|end|>", "<|eom_id|>"];

/// The vocabulary.
#[derive(Debug)]
pub(super) struct Words {
    tokenizer: Tokenizer,
    /// The bytes of each token; none for those that no text is made of.
    bytes: Vec<Vec<u8>>,
    ends: Vec<u32>,
    /// What every prompt begins with, where the file says so.
    first: Option<u32>,
    names: (String, String),
}

impl Words {
    /// Reads the vocabulary.
    ///
    /// # Errors
    /// A kind that is not known, or one that is incomplete, in words that follow the file's name.
    pub(super) fn read(content: &Content) -> Result<Self, String> {
        let told = |key: &str| content.metadata.get(&format!("tokenizer.ggml.{key}"));
        let model = told("model").and_then(|value| value.to_string().ok());
        if model.is_none_or(|model| model != "gpt2") {
            let model = model.map_or("none", String::as_str);
            return Err(format!("its tokenizer is of the kind `{model}`; the one that is known is gpt2 (byte pairs)"));
        }
        let tokens = texts(told("tokens")).ok_or("its list of tokens is missing")?;
        let merges = texts(told("merges")).ok_or("its list of merges is missing")?;
        let pair = |line: &String| line.split_once(' ').map(|(left, right)| (left.to_owned(), right.to_owned()));
        let merges = merges.iter().map(pair).collect::<Option<Vec<_>>>().ok_or("a line of its merges is no pair")?;
        let kinds: Vec<u64> = match told("token_type") {
            Some(Value::Array(kinds)) => kinds.iter().map(|kind| number(kind).unwrap_or(1)).collect(),
            _ => Vec::new(),
        };
        let kind = |at: usize| kinds.get(at).copied().unwrap_or(1);
        let pre = told("pre").and_then(|value| value.to_string().ok()).map_or("gpt-2", String::as_str);
        let (cuts, whole_first) = cuts(pre)?;
        let vocabulary: Vocab = tokens.iter().cloned().zip(0..).collect();
        let bpe = BPE::builder().vocab_and_merges(vocabulary, merges).ignore_merges(whole_first).build();
        let mut tokenizer = Tokenizer::new(bpe.map_err(|error| format!("its vocabulary is not whole: {error}"))?);
        tokenizer.with_pre_tokenizer(Some(cutter(cuts)?));
        let added = tokens.iter().enumerate().filter(|(at, _)| matches!(kind(*at), CONTROL | ADDED));
        let added: Vec<_> = added.map(|(at, token)| AddedToken::from(token.clone(), kind(at) == CONTROL)).collect();
        tokenizer.add_tokens(added).map_err(|error| format!("its special tokens cannot be added: {error}"))?;
        let plain = plain();
        let spelt = |(at, token): (usize, &String)| match kind(at) {
            CONTROL => Vec::new(),
            ADDED => token.as_bytes().to_vec(),
            _ => token.chars().filter_map(|sign| plain.get(&sign).copied()).collect(),
        };
        let bytes = tokens.iter().enumerate().map(spelt).collect();
        let id = |key: &str| told(key).and_then(number).and_then(|id| u32::try_from(id).ok());
        let named = (0_u32..).zip(&tokens).filter(|(_, token)| ENDS.contains(&token.as_str())).map(|(id, _)| id);
        let ends = [id("eos_token_id"), id("eot_token_id")].into_iter().flatten().chain(named).collect();
        let begins = told("add_bos_token").is_some_and(|value| value.to_bool().unwrap_or(false));
        let name = |id: Option<u32>| id.and_then(|id| tokens.get(id as usize)).cloned().unwrap_or_default();
        let names = (name(id("bos_token_id")), name(id("eos_token_id")));
        Ok(Self { tokenizer, bytes, ends, first: id("bos_token_id").filter(|_| begins), names })
    }

    /// The tokens of a text.
    ///
    /// # Errors
    /// What the regular expressions fail at.
    pub(super) fn tokens(&self, text: &str) -> Result<Vec<u32>, String> {
        let found = self.tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        Ok(found.get_ids().to_vec())
    }

    /// The tokens of a prompt: the text's, behind the first one that the file wants.
    ///
    /// # Errors
    /// As for a text.
    pub(super) fn prompt(&self, text: &str) -> Result<Vec<u32>, String> {
        let mut tokens = self.tokens(text)?;
        if let Some(first) = self.first
            && tokens.first() != Some(&first)
        {
            tokens.insert(0, first);
        }
        Ok(tokens)
    }

    /// The bytes of a token.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        self.bytes.get(token as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether a token ends an answer.
    pub(super) fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// How the template writes the first and the last token of a text.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.names.0, &self.names.1)
    }
}

/// The expressions by which a text is cut, one after the other, and whether a piece that is a token stays one.
fn cuts(pre: &str) -> Result<(&'static [&'static str], bool), String> {
    match pre {
        "gpt-2" | "gpt2" | "phi-2" | "olmo" => Ok((&[GPT2], false)),
        "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" => Ok((&[DIGIT, GPT2], false)),
        "llama3" | "llama-v3" | "llama-bpe" | "falcon3" => Ok((&[LLAMA3], true)),
        _ => Err(format!(
            "its tokenizer cuts texts as `{pre}` does; those that are known are gpt-2, smollm, starcoder and llama-bpe"
        )),
    }
}

fn cutter(cuts: &[&str]) -> Result<PreTokenizerWrapper, String> {
    let mut steps: Vec<PreTokenizerWrapper> = Vec::new();
    for cut in cuts {
        let split = Split::new(SplitPattern::Regex((*cut).to_owned()), SplitDelimiterBehavior::Isolated, false);
        steps.push(split.map_err(|error| error.to_string())?.into());
    }
    steps.push(ByteLevel::new(false, false, false).into());
    Ok(Sequence::new(steps).into())
}

fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    let Some(Value::Array(list)) = value else { return None };
    list.iter().map(|text| text.to_string().ok().cloned()).collect()
}

/// A whole number of any size.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::I8(number) => u64::try_from(*number).ok(),
        Value::I16(number) => u64::try_from(*number).ok(),
        Value::I32(number) => u64::try_from(*number).ok(),
        Value::I64(number) => u64::try_from(*number).ok(),
        other => other.to_u64().ok(),
    }
}

/// The byte that each sign of the vocabulary stands for: GPT-2 writes bytes that cannot be seen as other signs.
pub(super) fn plain() -> HashMap<char, u8> {
    let seen = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let hidden = (0..=255_u8).filter(|byte| !seen(byte));
    let other = hidden.zip(256_u32..).filter_map(|(byte, sign)| Some((char::from_u32(sign)?, byte)));
    (0..=255_u8).filter(seen).map(|byte| (char::from(byte), byte)).chain(other).collect()
}
