//! A call of a plugin that is a native library.

use flusso_abi::{Decode, Encode};

use super::context::Context;
use super::host_functions;
use crate::plugin::native::{Instance, Step};

/// Calls a function; `name` is that of the generated one, `sink.call_mark_seeded` for `sink.mark-seeded`. The arguments and the
/// result are the same types as a component's.
pub(super) async fn call<R: Decode>(
    native: &mut Instance,
    context: &mut Context,
    name: &str,
    arguments: &impl Encode,
) -> wasmtime::Result<R> {
    let function = name.replacen(".call_", ".", 1).replace('_', "-");
    let mut running = native.begin(function, arguments, context.setup.limits.handover)?;
    loop {
        match native.next(&mut running).await {
            Step::Done(ended) => return Ok(ended?),
            Step::Request(request) => {
                let answer = host_functions::answer(context, &request.function, &request.arguments).await;
                request.reply(answer);
            }
        }
    }
}
