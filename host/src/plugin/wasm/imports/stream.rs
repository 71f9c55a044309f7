//! The byte stream under a guest's connection.

use tokio::io::{AsyncRead, AsyncWrite};

/// A TCP or unix stream, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}
