//! HTTP/1.1 as far as a client of one server needs it: the bytes of a request, and an answer out of whatever pieces it
//! arrives in. Nothing here reads or writes a connection.

mod request;
mod response;

pub(crate) use request::{Head, Kind, gzip};
pub(crate) use response::{Decoder, Response};
