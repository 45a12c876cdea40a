//! OpenAI's dialect: streams and replies read from the side, error bodies in and out, the model
//! list, the size of a prompt, what a request is about, what an answer shows, and what a persona changes in both.

pub mod chat;
pub mod errors;
pub mod features;
pub mod length;
pub mod models;
pub mod persona;
mod port;
pub mod prompt;
pub mod signs;
pub mod texts;
pub mod tokens;

pub use port::port;
