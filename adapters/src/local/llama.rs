//! One pass of tokens through a Llama: embedding, blocks of attention and feed-forward, scores.
//!
//! candle's own quantised Llama is bound to 4,096 positions and keeps the keys and values inside the
//! weights; here they belong to the request, and the weights to everybody.

use std::io::{Read, Seek};
use std::sync::Arc;

use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Result, Tensor};
use candle_nn::attention::{AttnMask, flash_attn};
use candle_nn::kv_cache::Cache;
use candle_nn::ops::{rms_norm, silu};
use candle_nn::rotary_emb::rope_i;

use super::linear::Linear;

/// The cache of keys and values grows by so many positions.
const GROWTH: usize = 256;

/// The sizes of a model, as its file tells them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sizes {
    pub(super) blocks: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    /// The most positions.
    pub(super) context: usize,
    pub(super) epsilon: f32,
    pub(super) rope_base: f32,
}

/// The weights.
#[derive(Debug)]
pub(super) struct Llama {
    sizes: Sizes,
    embedding: Arc<QTensor>,
    blocks: Vec<Block>,
    norm: Tensor,
    output: Linear,
    cos: Tensor,
    sin: Tensor,
}

#[derive(Debug)]
struct Block {
    attention_norm: Tensor,
    query: Linear,
    key: Linear,
    value: Linear,
    attention_output: Linear,
    feed_norm: Tensor,
    gate: Linear,
    up: Linear,
    down: Linear,
}

/// What a request has said up to now: its keys and values in every block.
#[derive(Debug)]
pub(super) struct Past {
    caches: Vec<(Cache, Cache)>,
    at: usize,
}

impl Past {
    /// Of nothing.
    pub(super) fn new(sizes: &Sizes) -> Self {
        let cache = || Cache::new(1, GROWTH.min(sizes.context));
        Self { caches: (0..sizes.blocks).map(|_| (cache(), cache())).collect(), at: 0 }
    }
}

impl Llama {
    /// Reads the weights.
    ///
    /// # Errors
    /// A tensor that is missing, or of a kind or shape that is not known.
    pub(super) fn read<R: Read + Seek>(content: &Content, file: &mut R, sizes: Sizes) -> Result<Self> {
        let mut tensor = |name: &str| content.tensor(file, name, &Device::Cpu).map(Arc::new);
        let embedding = tensor("token_embd.weight")?;
        // Where the file has no matrix for the output, the embedding's serves for both.
        let has_output = content.tensor_infos.contains_key("output.weight");
        let output = if has_output { tensor("output.weight")? } else { Arc::clone(&embedding) };
        let norm = tensor("output_norm.weight")?.dequantize(&Device::Cpu)?;
        // Long-context models divide the frequencies by factors of their own.
        let has_factors = content.tensor_infos.contains_key("rope_freqs.weight");
        let factors = if has_factors {
            Some(tensor("rope_freqs.weight")?.dequantize(&Device::Cpu)?.to_vec1::<f32>()?)
        } else {
            None
        };
        let (cos, sin) = rotation(&sizes, factors.as_deref())?;
        let mut blocks = Vec::with_capacity(sizes.blocks);
        for number in 0..sizes.blocks {
            let mut of = |name: &str| tensor(&format!("blk.{number}.{name}.weight"));
            blocks.push(Block {
                attention_norm: of("attn_norm")?.dequantize(&Device::Cpu)?,
                query: Linear::new(of("attn_q")?)?,
                key: Linear::new(of("attn_k")?)?,
                value: Linear::new(of("attn_v")?)?,
                attention_output: Linear::new(of("attn_output")?)?,
                feed_norm: of("ffn_norm")?.dequantize(&Device::Cpu)?,
                gate: Linear::new(of("ffn_gate")?)?,
                up: Linear::new(of("ffn_up")?)?,
                down: Linear::new(of("ffn_down")?)?,
            });
        }
        Ok(Self { sizes, embedding, blocks, norm, output: Linear::new(output)?, cos, sin })
    }

    /// The sizes.
    pub(super) fn sizes(&self) -> &Sizes {
        &self.sizes
    }

    /// Lets the model read tokens, and gives its scores for the one that follows.
    ///
    /// # Errors
    /// More tokens than positions, and whatever candle finds wrong.
    pub(super) fn pass(&self, past: &mut Past, tokens: &[u32]) -> Result<Vec<f32>> {
        let (count, start) = (tokens.len(), past.at);
        let ids = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let mut state = self.embedding.embedding(&ids)?;
        let cos = self.cos.narrow(0, start, count)?;
        let sin = self.sin.narrow(0, start, count)?;
        for (block, cache) in self.blocks.iter().zip(&mut past.caches) {
            let input = rms_norm(&state, &block.attention_norm, self.sizes.epsilon)?;
            state = (state + block.attend(&self.sizes, &input, cache, (&cos, &sin), start)?)?;
            let input = rms_norm(&state, &block.feed_norm, self.sizes.epsilon)?;
            state = (state + block.feed(&input)?)?;
        }
        past.at += count;
        let last = state.narrow(1, count - 1, 1)?.contiguous()?;
        let last = rms_norm(&last, &self.norm, self.sizes.epsilon)?;
        self.output.forward(&last)?.flatten_all()?.to_vec1()
    }
}

impl Block {
    fn attend(
        &self,
        sizes: &Sizes,
        input: &Tensor,
        (keys, values): &mut (Cache, Cache),
        (cos, sin): (&Tensor, &Tensor),
        start: usize,
    ) -> Result<Tensor> {
        let (_, count, width) = input.dims3()?;
        let head = sizes.width / sizes.heads;
        let turned = |states: Tensor, heads: usize| -> Result<Tensor> {
            let by_head = states.reshape((1, count, heads, head))?.transpose(1, 2)?.contiguous()?;
            rope_i(&by_head, cos, sin)?.transpose(1, 2)?.contiguous()
        };
        let query = turned(self.query.forward(input)?, sizes.heads)?;
        keys.append(&turned(self.key.forward(input)?, sizes.kv_heads)?)?;
        values.append(&self.value.forward(input)?.reshape((1, count, sizes.kv_heads, head))?)?;
        let (Some(keys), Some(values)) = (keys.current_data()?, values.current_data()?) else {
            candle_core::bail!("a cache that was written to is empty");
        };
        let scale = 1.0 / (head as f32).sqrt();
        let mask = AttnMask::causal_with_offset(start);
        let heads = flash_attn::<f32>(&query, &keys, &values, scale, mask, None, None)?;
        self.attention_output.forward(&heads.transpose(1, 2)?.contiguous()?.reshape((1, count, width))?)
    }

    fn feed(&self, input: &Tensor) -> Result<Tensor> {
        let gated = (silu(&self.gate.forward(input)?)? * self.up.forward(input)?)?;
        self.down.forward(&gated)
    }
}

/// The cosines and sines by which positions turn queries and keys.
fn rotation(sizes: &Sizes, factors: Option<&[f32]>) -> Result<(Tensor, Tensor)> {
    let head = sizes.width / sizes.heads;
    let factor = |at: usize| factors.and_then(|factors| factors.get(at)).copied().unwrap_or(1.0);
    let frequency = |at: usize| 1.0 / (sizes.rope_base.powf(2.0 * at as f32 / head as f32) * factor(at));
    let frequencies: Vec<f32> = (0..head / 2).map(frequency).collect();
    let angles: Vec<f32> =
        (0..sizes.context).flat_map(|place| frequencies.iter().map(move |turn| place as f32 * turn)).collect();
    let angles = Tensor::from_vec(angles, (sizes.context, head / 2), &Device::Cpu)?;
    Ok((angles.cos()?, angles.sin()?))
}
