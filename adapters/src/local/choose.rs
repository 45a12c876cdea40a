//! Which token comes next: the likeliest, or one by chance.

use crate::dice::Dice;

/// How tokens are chosen.
#[derive(Debug, Clone)]
pub(super) struct Chooser {
    /// 0 takes the likeliest.
    pub(super) temperature: f64,
    /// Of the likeliest, as many as have this probability together.
    pub(super) top_p: f64,
    pub(super) dice: Dice,
}

impl Chooser {
    /// Chooses; of equal ones the first.
    pub(super) fn choose(&mut self, scores: &[f32]) -> u32 {
        let mut ranked: Vec<(u32, f64)> = (0_u32..).zip(scores.iter().map(|score| f64::from(*score))).collect();
        if self.temperature <= 0.0 {
            let best = |best: (u32, f64), next: (u32, f64)| if next.1 > best.1 { next } else { best };
            return ranked.into_iter().fold((0, f64::NEG_INFINITY), best).0;
        }
        ranked.sort_by(|left, right| right.1.total_cmp(&left.1));
        let highest = ranked.first().map_or(0.0, |(_, score)| *score);
        ranked.iter_mut().for_each(|(_, score)| *score = ((*score - highest) / self.temperature).exp());
        let total: f64 = ranked.iter().map(|(_, weight)| weight).sum();
        let mut kept = 0.0;
        let mut count = 0;
        while let Some((_, weight)) = ranked.get(count).filter(|_| count == 0 || kept < self.top_p * total) {
            kept += weight;
            count += 1;
        }
        let mut left = self.dice.unit() * kept;
        for (token, weight) in ranked.iter().take(count) {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        ranked.first().map_or(0, |(token, _)| *token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(temperature: f64, top_p: f64) -> [usize; 3] {
        let mut chooser = Chooser { temperature, top_p, dice: Dice::new(&[3]) };
        let mut counts = [0; 3];
        // Probabilities of 0.25, 0.7 and 0.05.
        for _ in 0..4000 {
            counts[chooser.choose(&[0.25_f32.ln(), 0.7_f32.ln(), 0.05_f32.ln()]) as usize] += 1;
        }
        counts
    }

    #[test]
    fn without_temperature_the_likeliest_comes_always() {
        assert_eq!(counts(0.0, 1.0), [0, 4000, 0]);
    }

    #[test]
    fn at_temperature_one_tokens_come_as_often_as_they_are_likely() {
        let [second, first, third] = counts(1.0, 1.0);
        assert!((900..1100).contains(&second) && (2700..2900).contains(&first) && (140..260).contains(&third));
    }

    #[test]
    fn top_p_leaves_out_what_is_unlikely() {
        assert_eq!(counts(1.0, 0.5), [0, 4000, 0]);
        let [second, first, third] = counts(1.0, 0.9);
        assert!(second > 900 && first > 2700 && third == 0);
    }
}
