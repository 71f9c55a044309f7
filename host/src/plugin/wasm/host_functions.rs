//! The functions of `imports` for a plugin that is a native library: found by name, with their arguments and results as bytes. The
//! same rights, limits and log lines as a component has.

use std::future::Future;

use flusso_abi::{Decode, Encode, decode, encode};
use wasmtime::component::Resource;

use super::bindings::flusso::connector::{links, log, metrics, net, reader, secrets, state, tracked_reader};
use super::context::Context;
use super::imports::net::Connection;

/// Calls a function; an error ends the call that the plugin is in.
pub(super) async fn answer(context: &mut Context, function: &str, arguments: &[u8]) -> Result<Vec<u8>, String> {
    macro_rules! functions {
        ($($name:literal ($($argument:ident),*) => $call:expr;)*) => {
            match function {
                $($name => called(function, arguments, |($($argument,)*)| $call).await,)*
                _ => Err(format!("this host has no function `{function}`")),
            }
        };
    }
    functions! {
        "log.log"(level, message, fields) => log::Host::log(context, level, message, fields);
        "metrics.add"(name, amount, labels) => metrics::Host::add(context, name, amount, labels);
        "metrics.set"(name, value, labels) => metrics::Host::set(context, name, value, labels);
        "secrets.get"(name) => secrets::Host::get(context, name);
        "state.get"(key) => state::Host::get(context, key);
        "state.scan"(prefix, after, limit) => state::Host::scan(context, prefix, after, limit);
        "state.apply"(mutations) => state::Host::apply(context, mutations);
        "links.recorded-relations"() => links::Host::recorded_relations(context);
        "links.clock"() => links::Host::clock(context);
        "links.add"(since, links) => links::Host::add(context, since, links);
        "links.parents"(relation, rows) => links::Host::parents(context, relation, rows);
        "reader.open"(settings) => reader::Host::open(context, settings);
        "reader.primary-key"(table) => reader::Host::primary_key(context, table);
        "reader.begin"() => reader::Host::begin(context);
        "reader.rows"(table, columns, keys) => reader::Host::rows(context, table, columns, keys);
        "reader.related"(relation) => reader::Host::related(context, relation);
        "tracked-reader.read"(reads) => tracked_reader::Host::read(context, reads);
        "net.connect"(address, timeout_ms) => async move {
            let connected = net::Host::connect(context, address, timeout_ms).await?;
            Ok(connected.map(|connection| connection.rep()))
        };
        "net.connection.read"(of, max, wait_ms) =>
            net::HostConnection::read(context, borrowed(of), max, wait_ms);
        "net.connection.write"(of, bytes) => net::HostConnection::write(context, borrowed(of), bytes);
        "net.connection.start-tls"(of, options) => net::HostConnection::start_tls(context, borrowed(of), options);
        "net.connection.drop"(of) => net::HostConnection::drop(context, Resource::new_own(of));
    }
}

fn borrowed(of: u32) -> Resource<Connection> {
    Resource::new_borrow(of)
}

async fn called<A: Decode, R: Encode, F: Future<Output = wasmtime::Result<R>>>(
    function: &str,
    arguments: &[u8],
    call: impl FnOnce(A) -> F,
) -> Result<Vec<u8>, String> {
    let arguments =
        decode(arguments).map_err(|error| format!("the arguments of `{function}` cannot be read: {error}"))?;
    let answer = call(arguments).await.map_err(|error| format!("{error:#}"))?;
    Ok(encode(&answer))
}
