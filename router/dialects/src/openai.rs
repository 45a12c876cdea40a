//! OpenAI's dialect: streams and replies read from the side, error bodies in and out, the model
//! list, and the size of a prompt.

pub mod chat;
pub mod errors;
pub mod models;
mod port;
pub mod prompt;

pub use port::port;
