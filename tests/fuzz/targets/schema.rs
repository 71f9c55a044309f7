//! A schema file: it is read, or refused with positions that are in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match flusso_schema::parse_with_notes(text, "x.schema.yml") {
        Ok((schema, notes)) => {
            flusso_schema::tables([&schema]).len();
            notes.iter().for_each(|note| drop(note.to_string()));
        }
        Err(problems) => {
            assert!(!problems.list().is_empty(), "refused without a reason");
            problems.list().iter().for_each(|problem| drop(problem.to_string()));
        }
    }
});
