//! The HTTP client against servers that are played: HTTP/2 ones frame by frame, HTTP/1.1 ones byte by byte.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod far_side;
#[cfg(test)]
mod plain;
#[cfg(test)]
mod raw;
#[cfg(test)]
mod secure;
