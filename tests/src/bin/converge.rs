//! The convergence test for as long as wanted: `tests/run converge --seconds N --seed S`.

use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use flusso_tests::converge::{Builder, Fault, Identity, Options, Sink, run};

const HELP: &str = "tests/run converge [WORD VALUE …]
  --seconds N       how long is written (60)
  --seed S          replays a run; printed (by the clock)
  --profile P       mixed (every kind of transaction, faults) or race (one change a transaction, none); first, if at all
  --identity I      managed, full or default: how the old links of rows become known (managed)
  --builder B       schemas (those of pg.wasm) or tracked (tests/guests/world: functions whose reads the host follows) (schemas)
  --sink S          lines, or opensearch: a real cluster in trouble, whose documents are read back (lines)
  --faults A,B      of kill, terminate, sender, readers, database, column, slot; or all, none (all but slot)
  --every SECONDS   between two faults, on average
  --round SECONDS   between two comparisons
  --writers N, --rate N (transactions a second, at most), --floor N (at least)";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| matches!(word.as_str(), "-h" | "--help")) {
        let _ = writeln!(std::io::stdout(), "{HELP}");
        return ExitCode::SUCCESS;
    }
    match options(&words) {
        Ok(options) => {
            let _ = writeln!(std::io::stderr(), "converge {options}");
            let report = run(&options);
            let _ = write!(std::io::stdout(), "{report}");
            if report.wrong.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "{message}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn options(words: &[String]) -> Result<Options, String> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let mut options = Options::mixed(60, clock, Identity::Managed);
    for pair in words.chunks(2) {
        let [word, value] = pair else { return Err(format!("{} wants a value", pair.join(" "))) };
        let number = || value.parse::<u64>().map_err(|_| format!("{word} wants a number, not {value}"));
        let seconds = || value.parse::<f64>().map_err(|_| format!("{word} wants seconds, not {value}"));
        match word.as_str() {
            "--seconds" => options.seconds = number()?,
            "--seed" => options.seed = number()?,
            "--profile" if value == "mixed" => {
                let mixed = Options::mixed(options.seconds, options.seed, options.identity);
                options = Options { builder: options.builder, sink: options.sink, ..mixed };
            }
            "--profile" if value == "race" => {
                let race = Options::race(options.seconds, options.seed, options.identity);
                options = Options { builder: options.builder, sink: options.sink, ..race };
            }
            "--identity" => options.identity = named(&Identity::ALL, value)?,
            "--builder" => options.builder = named(&Builder::ALL, value)?,
            "--sink" => options.sink = named(&Sink::ALL, value)?,
            "--faults" => options.faults = faults(value)?,
            "--every" => options.every = seconds()?,
            "--round" => options.round = seconds()?,
            "--writers" => options.writers = number()?,
            "--rate" => options.rate = number()?,
            "--floor" => options.floor = number()?,
            _ => return Err(format!("{word} {value} is not understood")),
        }
    }
    Ok(options)
}

fn named<T: Copy>(all: &[(&str, T)], name: &str) -> Result<T, String> {
    all.iter().find(|(known, _)| *known == name).map(|(_, it)| *it).ok_or_else(|| {
        format!("{name} is none of {}", all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "))
    })
}

fn faults(words: &str) -> Result<Vec<Fault>, String> {
    match words {
        "none" => Ok(Vec::new()),
        "all" => Ok(Fault::ALL.iter().map(|(_, fault)| *fault).collect()),
        words => words.split(',').map(|name| named(&Fault::ALL, name)).collect(),
    }
}
