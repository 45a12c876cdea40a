//! Claims about the request path, on stopped time, with hand-played providers and seeded dice.
//!
//! Every claim ends by looking at what was borrowed: [`kit::House::closed`] fails where an exchange
//! has not been settled exactly once, a permit is still out, or a provider is still at work.

#[cfg(test)]
mod broken;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod ceilings;
#[cfg(test)]
mod exits;
#[cfg(test)]
mod failover;
#[cfg(test)]
mod hearing;
#[cfg(test)]
mod hedges;
#[cfg(test)]
mod held;
#[cfg(test)]
mod kit;
#[cfg(test)]
mod lanes;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lines;
#[cfg(test)]
mod numbers;
#[cfg(test)]
mod patterns;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod preemption;
#[cfg(test)]
mod queueing;
#[cfg(test)]
mod reuse;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod scopes;
#[cfg(test)]
mod shares;
#[cfg(test)]
mod spans;
#[cfg(test)]
mod storm;
