//! HTTP/1.1 as far as a client of one server needs it: the bytes of a request, and an answer out of whatever pieces it
//! arrives in. Nothing here reads or writes a connection.

mod answer;
mod request;

pub(crate) use answer::{Answer, Decoder};
pub(crate) use request::{Head, Kind, gzip};
