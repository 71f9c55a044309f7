//! What a cluster answers, in whatever pieces it arrives: an answer, or an error; and the results of a bulk request in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    flusso_opensearch::fuzzing::answer(bytes);
    flusso_opensearch::fuzzing::bulk_answer(bytes);
});
