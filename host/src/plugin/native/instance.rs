//! One instance of a library: a thread of its own that takes calls, one at a time. What the plugin asks of the host during a call
//! is answered by the task that made the call, so that it has the same rights and limits as a component.

use std::sync::mpsc as blocking;
use std::thread;

use flusso_abi::{Decode, Encode, Status, decode, encode};
use tokio::sync::{mpsc, oneshot};

use super::library::{Library, Requests};
use crate::limits;

/// What can go wrong in a call.
#[derive(Debug, thiserror::Error)]
pub(in crate::plugin) enum NativeFault {
    /// The plugin failed inside.
    #[error("{0}")]
    Failed(String),
    /// The thread is gone, or could not be made.
    #[error("no thread for it: {0}")]
    NoThread(String),
    /// The answer breaks the interface.
    #[error("{0}")]
    Answer(String),
    /// The answer is larger than any may be.
    #[error("an answer of {0} bytes")]
    TooLarge(usize),
}

/// A call on its way to the thread.
struct Call {
    function: String,
    arguments: Vec<u8>,
    answer: oneshot::Sender<(i32, Vec<u8>)>,
}

/// What the plugin asks of the host during a call.
pub(in crate::plugin) struct Request {
    /// The function, `state.get`.
    pub(in crate::plugin) function: String,
    /// Its arguments.
    pub(in crate::plugin) arguments: Vec<u8>,
    reply: blocking::SyncSender<Result<Vec<u8>, String>>,
}

impl Request {
    /// Answers it; an error ends the call that the plugin is in.
    pub(in crate::plugin) fn reply(self, answer: Result<Vec<u8>, String>) {
        // A thread that waits no more has heard that the call is over.
        let _ = self.reply.send(answer);
    }
}

/// An instance. Dropping it ends it once its call is done.
pub(in crate::plugin) struct Instance {
    calls: blocking::Sender<Call>,
    requests: mpsc::Receiver<Request>,
}

/// Either of what can happen during a call.
pub(in crate::plugin) enum Step<R> {
    /// The plugin wants something of the host.
    Request(Request),
    /// The call is done.
    Done(Result<R, NativeFault>),
}

/// A call that is under way.
pub(in crate::plugin) struct Running {
    answer: oneshot::Receiver<(i32, Vec<u8>)>,
    most: u64,
}

impl Instance {
    /// Makes an instance of a library.
    pub(in crate::plugin) fn start(library: Library, plugin: &str) -> Result<Self, NativeFault> {
        let (calls, waiting) = blocking::channel::<Call>();
        let (asking, requests) = mpsc::channel::<Request>(1);
        let run = move || {
            let requests = Requests::new(move |function: &str, arguments: &[u8]| {
                let (reply, answer) = blocking::sync_channel(1);
                let request = Request { function: function.to_owned(), arguments: arguments.to_vec(), reply };
                let over = || "the host has ended this call".to_owned();
                asking.blocking_send(request).map_err(|_| over())?;
                answer.recv().unwrap_or_else(|_| Err(over()))
            });
            // Without an instance every call finds nobody.
            let Some(instance) = library.create(&requests) else { return };
            while let Ok(Call { function, arguments, answer }) = waiting.recv() {
                let came_to = instance.call(&function, &arguments);
                drop(arguments);
                // Nobody waits for a call that took too long.
                let _ = answer.send(came_to);
            }
        };
        let named = thread::Builder::new().name(format!("plugin {plugin}")).stack_size(limits::native::STACK_BYTES);
        named.spawn(run).map_err(|error| NativeFault::NoThread(error.to_string()))?;
        Ok(Self { calls, requests })
    }

    /// Begins a call; `most` bytes may be answered.
    pub(in crate::plugin) fn begin(
        &self,
        function: String,
        arguments: &impl Encode,
        most: u64,
    ) -> Result<Running, NativeFault> {
        let (sending, answer) = oneshot::channel();
        let call = Call { function, arguments: encode(arguments), answer: sending };
        let gone = |_| NativeFault::NoThread("the plugin made no instance".to_owned());
        self.calls.send(call).map_err(gone)?;
        Ok(Running { answer, most })
    }

    /// Waits for the end of the call, or for something that the plugin wants meanwhile.
    pub(in crate::plugin) async fn next<R: Decode>(&mut self, running: &mut Running) -> Step<R> {
        tokio::select! {
            biased;
            Some(request) = self.requests.recv() => Step::Request(request),
            ended = &mut running.answer => Step::Done(match ended {
                Ok((status, result)) => read(status, &result, running.most),
                Err(_) => Err(NativeFault::NoThread("the plugin made no instance".to_owned())),
            }),
        }
    }
}

/// What an answer says.
fn read<R: Decode>(status: i32, result: &[u8], most: u64) -> Result<R, NativeFault> {
    let text = || String::from_utf8_lossy(result).into_owned();
    if u64::try_from(result.len()).is_ok_and(|length| length > most) {
        return Err(NativeFault::TooLarge(result.len()));
    }
    if status == Status::Answered as i32 {
        decode(result).map_err(|error| NativeFault::Answer(format!("an answer that cannot be read: {error}")))
    } else if status == Status::Failed as i32 {
        Err(NativeFault::Failed(text()))
    } else if status == Status::Unknown as i32 {
        Err(NativeFault::Answer("that it has no such function, which its manifest claims".to_owned()))
    } else if status == Status::Unreadable as i32 {
        Err(NativeFault::Answer(format!("that the arguments cannot be read: {}", text())))
    } else {
        Err(NativeFault::Answer(format!("the status {status}, which there is not")))
    }
}
