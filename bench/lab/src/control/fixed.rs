//! A limit that somebody wrote down: right until the capacity changes.

use super::Limiter;

/// Always the same limit; without control at all it is `u32::MAX`.
#[derive(Debug)]
pub(crate) struct Fixed(pub(crate) u32);

impl Limiter for Fixed {
    fn limit(&self) -> u32 {
        self.0
    }
}
