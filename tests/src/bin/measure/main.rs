//! The figures of the project, as ratios of one run on one machine. Started by `tests/measure` and `tests/compare`, which bring
//! the server.
//!
//! Every figure is printed with the aim and the least that will do, and with what it was measured beside.

mod compare;
mod figures;
mod found;
mod loader;
mod memory;
mod search;
mod shop;
mod tail;
mod timed;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.split_first() {
        Some((first, [one])) if first == "compare" && one == "opensearch" => search::print(),
        Some((first, [one])) if first == "compare" && one == "before" => compare::before(),
        Some((first, rest)) if first == "compare" => compare::print(rest),
        _ => figures::print(),
    }
}
