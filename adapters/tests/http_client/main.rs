//! The HTTP client against HTTP/2 servers that are played frame by frame.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod far_side;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod secure;
