//! A matrix of the file, as it stands there: quantised in blocks.
//!
//! candle multiplies most kinds by kernels of the processor's own, but one that small models like,
//! `Q4_1`, number by number. A block of it says of each weight `d * q + m`, with `q` from 0 to 15.
//! That is `d * (q - 8) + (m + 8 * d)`: a block of the kind `Q4_0`, which is fast, and one number for the
//! block, which the sum of the block's inputs is multiplied by. Nothing is rounded on the way: the scale
//! and the sixteen values are the same bits in both kinds.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Module, Result, Shape, Tensor};

/// Weights of a block, of all kinds that are taken apart here.
const BLOCK: usize = 32;
/// Bytes of a `Q4_1` block: two half floats and sixteen bytes of two weights each.
const Q4_1_BYTES: usize = 20;

/// A matrix that vectors are multiplied by.
#[derive(Debug)]
pub(super) enum Linear {
    /// In one of the kinds that candle is quick with.
    Plain(QMatMul),
    /// Taken apart.
    Apart(Apart),
}

/// A `Q4_1` matrix as a `Q4_0` one and an offset for each block.
#[derive(Debug)]
pub(super) struct Apart {
    scaled: QTensor,
    /// One row for each block of inputs, one column for each output.
    offsets: Vec<f32>,
    outputs: usize,
}

impl Linear {
    /// Takes a tensor of the file.
    ///
    /// # Errors
    /// Where its shape does not fit its kind.
    pub(super) fn new(tensor: Arc<QTensor>) -> Result<Self> {
        if tensor.dtype() == GgmlDType::Q4_1 {
            return Ok(Self::Apart(Apart::of(&tensor)?));
        }
        Ok(Self::Plain(QMatMul::from_arc(tensor)?))
    }

    /// Multiplies.
    ///
    /// # Errors
    /// Where the input's shape is another.
    pub(super) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        match self {
            Self::Plain(matrix) => matrix.forward(input),
            Self::Apart(apart) => input.apply_op1_no_bwd(apart),
        }
    }
}

impl Apart {
    fn of(tensor: &QTensor) -> Result<Self> {
        let (outputs, inputs) = tensor.shape().dims2()?;
        let blocks = inputs / BLOCK;
        let data = tensor.data()?;
        let mut scaled = Vec::with_capacity(data.len());
        let mut offsets = vec![0.0; outputs * blocks];
        for (number, block) in data.chunks_exact(Q4_1_BYTES).enumerate() {
            let [d0, d1, m0, m1, weights @ ..] = block else { continue };
            scaled.extend_from_slice(&[*d0, *d1]);
            scaled.extend_from_slice(weights);
            let (row, column) = (number / blocks, number % blocks);
            if let Some(offset) = offsets.get_mut(column * outputs + row) {
                *offset = half(*m0, *m1) + 8.0 * half(*d0, *d1);
            }
        }
        let storage = QStorage::from_data(Cow::Owned(scaled), &Device::Cpu, GgmlDType::Q4_0)?;
        Ok(Self { scaled: QTensor::new(storage, (outputs, inputs))?, offsets, outputs })
    }
}

impl CustomOp1 for Apart {
    fn name(&self) -> &'static str {
        "q4_1-apart"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (product, shape) = self.scaled.cpu_fwd(storage, layout)?;
        let CpuStorage::F32(mut product) = product else {
            candle_core::bail!("a matrix takes 32-bit floats");
        };
        let inputs = storage.as_slice::<f32>()?.get(layout.start_offset()..).unwrap_or_default();
        let width = self.offsets.len() / self.outputs.max(1) * BLOCK;
        for (row, outputs) in inputs.chunks_exact(width.max(1)).zip(product.chunks_exact_mut(self.outputs.max(1))) {
            for (block, offsets) in row.chunks_exact(BLOCK).zip(self.offsets.chunks_exact(self.outputs.max(1))) {
                let sum = rounded_sum(block);
                outputs.iter_mut().zip(offsets).for_each(|(output, offset)| *output += sum * offset);
            }
        }
        Ok((CpuStorage::F32(product), shape))
    }
}

/// The sum of a block's inputs as the fast kernel sees them: rounded to eight bits. llama.cpp multiplies the
/// offset by this sum, too; with the exact one, answers part from its answers more often.
fn rounded_sum(block: &[f32]) -> f32 {
    let largest = block.iter().fold(0.0_f32, |most, input| most.max(input.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    let step = largest / 127.0;
    block.iter().map(|input| (input / step).round_ties_even()).sum::<f32>() * step
}

/// The value of a half float's two bytes.
fn half(low: u8, high: u8) -> f32 {
    let bits = u16::from_le_bytes([low, high]);
    let (sign, exponent, fraction) = (u32::from(bits >> 15), u32::from(bits >> 10 & 0x1f), u32::from(bits & 0x3ff));
    let size = match exponent {
        // Below the smallest normal number: so many 2^-24.
        0 => return if sign == 1 { -1.0 } else { 1.0 } * fraction as f32 / 16_777_216.0,
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign << 31 | size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_floats_have_the_values_of_the_standard() {
        for (bits, value) in [
            (0x0000_u16, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 1.0 / 16_777_216.0),
            (0x8400, -1.0 / 16384.0),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ] {
            let [low, high] = bits.to_le_bytes();
            assert_eq!(half(low, high), value, "{bits:#x}");
        }
    }

    #[test]
    fn a_matrix_taken_apart_is_the_matrix() {
        let (outputs, inputs) = (8, 128);
        let wave =
            |count: usize, step: f32| -> Vec<f32> { (0..count).map(|at| (at as f32 * step).sin() + 0.3).collect() };
        let weights = Tensor::from_vec(wave(outputs * inputs, 0.7), (outputs, inputs), &Device::Cpu).unwrap();
        let quantised = QTensor::quantize(&weights, GgmlDType::Q4_1).unwrap();
        let exact = quantised.dequantize(&Device::Cpu).unwrap();
        let linear = Linear::new(Arc::new(quantised)).unwrap();
        let input = Tensor::from_vec(wave(2 * inputs, 0.31), (1, 2, inputs), &Device::Cpu).unwrap();
        let found: Vec<f32> = linear.forward(&input).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let wanted = input.reshape((2, inputs)).unwrap().matmul(&exact.t().unwrap()).unwrap();
        let wanted: Vec<f32> = wanted.flatten_all().unwrap().to_vec1().unwrap();
        // What is left is the rounding of the inputs to eight bits.
        for (found, wanted) in found.iter().zip(&wanted) {
            assert!((found - wanted).abs() < 0.02 * wanted.abs().max(5.0), "{found} is not {wanted}");
        }
    }
}
