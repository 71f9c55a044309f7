//! `wasi:http` for guests: requests to the hosts that the operator granted (`allow.http`, `allow.network`, or a setting that
//! is a grant), each checked before a connection is made. The protocol is wasmtime's own implementation; redirects are not
//! followed, so a granted server cannot send a guest elsewhere.

use std::time::Duration;

use http::uri::Scheme;
use http_body_util::BodyExt;
use wasmtime::component::ResourceTable;
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, default_send_request,
};

use crate::plugin::capability::{Address, Denied, Grants};

/// The state of `wasi:http` in one store.
pub(in crate::plugin::wasm) struct Http {
    context: WasiHttpCtx,
    gate: Gate,
}

/// Lets a request through if its host is granted.
struct Gate {
    instance: String,
    grants: Grants,
    /// No wait of a request outlasts the call that it is part of.
    limit: Duration,
}

impl Http {
    /// For an instance of this name, with its grants and the longest time of one call.
    pub(in crate::plugin::wasm) fn new(instance: &str, grants: &Grants, limit: Duration) -> Self {
        let gate = Gate { instance: instance.to_owned(), grants: grants.clone(), limit };
        Self { context: WasiHttpCtx::new(), gate }
    }

    pub(in crate::plugin::wasm) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView { ctx: &mut self.context, table, hooks: &mut self.gate }
    }
}

type Exchange = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

impl WasiHttpHooks for Gate {
    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _body_sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Exchange, Error>> + Send> {
        let granted = address(&request).ok_or(Error::HttpRequestUriInvalid).and_then(|address| {
            self.grants.may_request(&address).map(|()| address).map_err(|denied| refused(&self.instance, &denied))
        });
        let (grants, instance) = (self.grants.clone(), self.instance.clone());
        let limit = self.limit;
        let within = |wanted: Option<Duration>| Some(wanted.unwrap_or(limit).min(limit));
        let options = options.unwrap_or_default();
        let options = RequestOptions {
            connect_timeout: within(options.connect_timeout),
            first_byte_timeout: within(options.first_byte_timeout),
            between_bytes_timeout: within(options.between_bytes_timeout),
        };
        Box::new(async move {
            check_resolved(&grants, &instance, &granted?).await?;
            let (response, connection) = default_send_request(request, Some(options)).await?;
            Ok((response.map(BodyExt::boxed_unsync), Box::new(connection) as Box<dyn Future<Output = _> + Send>))
        })
    }
}

fn refused(instance: &str, denied: &Denied) -> Error {
    tracing::warn!(instance, "{denied}");
    Error::HttpRequestDenied
}

/// Whether a name resolves to nothing that is refused. It is resolved once more for the connection.
async fn check_resolved(grants: &Grants, instance: &str, address: &Address) -> Result<(), Error> {
    let Address::Tcp(host, port) = address else { return Ok(()) };
    // What cannot be resolved now is reported by the request.
    let found = tokio::net::lookup_host((host.as_str(), *port)).await.into_iter().flatten();
    let denied = found.map(|ip| grants.may_resolve_to(address, ip.ip())).find_map(Result::err);
    denied.map_or(Ok(()), |denied| Err(refused(instance, &denied)))
}

fn address(request: &http::Request<WasiBody>) -> Option<Address> {
    let uri = request.uri();
    let authority = uri.authority()?;
    let port = authority.port_u16().unwrap_or(if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 });
    Some(Address::tcp(authority.host(), port))
}
