//! Any text gives a schema or problems: never a panic, never more work than its size is worth.

use super::{EXAMPLE, rules};
use crate::{parse, tables};
use std::time::{Duration, Instant};

/// A small generator: the same seed, the same files.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end.max(1) as u64) as usize
    }
}

/// What is put into files: what YAML minds, and words of the language where they do not belong.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\t",
    "#",
    "&a ",
    "*a",
    "!!int ",
    "|",
    ">",
    "'",
    "\"",
    "\\",
    "?",
    ",",
    "%",
    "---\n",
    "...\n",
    "~",
    "null",
    "\u{0}",
    "\u{feff}",
    "é",
    "\u{10ffff}",
    "<<",
    "@",
    "`",
    "1e999",
    "-",
    "0x",
    "fields:",
    "raw:",
    "has_many: a",
    "limit: 0",
    "through:",
    "keyword: ",
];

fn mutated(random: &mut Random, seeds: &[String]) -> String {
    let mut text: Vec<char> = seeds[random.below(seeds.len())].chars().collect();
    for _ in 0..=random.below(6) {
        let at = random.below(text.len() + 1);
        let end = (at + random.below(20)).min(text.len());
        match random.below(4) {
            0 => drop(text.drain(at..end)),
            1 => drop(text.splice(at..at, PIECES[random.below(PIECES.len())].chars())),
            2 => {
                let copy: Vec<char> = text[at..end].to_vec();
                let to = random.below(text.len() + 1);
                drop(text.splice(to..to, copy));
            }
            _ => text.truncate(if random.below(4) == 0 { at } else { text.len() }),
        }
    }
    text.into_iter().collect()
}

#[test]
fn no_mutation_of_a_file_panics() {
    let rounds: usize = std::env::var("FLUSSO_FUZZ_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(4000);
    let seed: u64 = std::env::var("FLUSSO_FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
    let mut seeds: Vec<String> = rules::cases().into_iter().map(|case| case.file).collect();
    seeds.extend(std::iter::repeat_n(EXAMPLE.to_owned(), 20));
    let mut random = Random(seed);
    let mut valid = 0;
    for _ in 0..rounds {
        let text = mutated(&mut random, &seeds);
        match parse(&text, "f.yml") {
            Ok(schema) => {
                valid += 1;
                assert_eq!(schema.hash(), schema.hash());
                assert!(!schema.mapping().is_empty() && !schema.places().is_empty() && !tables([&schema]).is_empty());
            }
            Err(problems) => {
                assert!(!problems.list().is_empty());
                for problem in problems.list() {
                    assert!(problem.line >= 1 && problem.column >= 1 && !problem.message.is_empty());
                    assert!(!problem.to_string().contains('\n'), "{problem:?}");
                }
            }
        }
    }
    assert!(valid > rounds / 100, "only {valid} of {rounds} were valid: the mutations are too wild to test anything");
}

fn refused_soon(text: &str) -> String {
    let begun = Instant::now();
    let said = parse(text, "f.yml").unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    said
}

#[test]
fn deep_nesting_is_refused() {
    let open = "[".repeat(100) + &"]".repeat(100);
    assert_eq!(refused_soon(&open), "f.yml:1:65: yaml: this is nested deeper than 64 levels");
    assert_eq!(refused_soon(&"[".repeat(50_000)), "f.yml:1:256: yaml: this is not YAML: recursion limit exceeded");
    let blocks: String = (0..200).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(refused_soon(&blocks).contains("nested deeper than 64 levels"));
    let mut deep = String::from("a: &a0 [1]\n");
    for at in 1..100 {
        deep.push_str(&format!("b{at}: &a{at} [*a{}]\n", at - 1));
    }
    assert!(refused_soon(&deep).contains("nested deeper than 64 levels"));
}

#[test]
fn aliases_do_not_multiply_without_end() {
    let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for at in 1..20 {
        let last = at - 1;
        bomb.push_str(&format!("a{at}: &a{at} [*a{last}, *a{last}, *a{last}, *a{last}, *a{last}, *a{last}]\n"));
    }
    assert!(refused_soon(&bomb).contains("the file has more than 100000 parts"));
}

#[test]
fn a_file_has_a_largest_size() {
    let said = refused_soon(&"#".repeat((1 << 20) + 1));
    assert_eq!(
        said,
        "f.yml:1:1: yaml: the file has 1048577 bytes, more than the limit of 1048576; split it into several schemas"
    );
}

#[test]
fn a_large_valid_file_is_read_soon() {
    let mut text = super::HEAD.to_owned();
    for at in 0..10_000 {
        text.push_str(&format!("  - keyword: f{at}\n    column: c{at}\n"));
    }
    let begun = Instant::now();
    assert_eq!(parse(&text, "f.yml").unwrap().mapping().len(), 10_000);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}
