//! What was measured into a cluster, and how it is said.

use std::time::Duration;

use crate::loader::Loader;
use crate::search::{APART, CHANGES};
use crate::shop::Shop;
use crate::timed::{median, say, seconds};

/// What was measured of one program, over all rounds.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) seeds: Vec<Duration>,
    pub(crate) seed_cpu: Vec<Duration>,
    /// Changes of the users themselves, a document each.
    pub(crate) drains: Vec<Duration>,
    /// Changes two joins down.
    pub(crate) items: Vec<Duration>,
    pub(crate) lone: Vec<Duration>,
    pub(crate) peak: u64,
    pub(crate) live: u64,
}

fn u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}

/// The k-th hundredth of some times.
fn percentile(times: &[Duration], k: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times.get((times.len() * k / 100).min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// All figures, each with what was asked for.
pub(crate) fn show(
    shop: &Shop,
    loader: &Loader,
    (ours, theirs): (&Figures, &Figures),
    bare: &[Duration],
    again: &[(Duration, usize)],
) {
    let middle = |times: &[Duration]| median(&mut times.to_vec());
    let rate = |count: usize, times: &[Duration]| count as f64 / middle(times).as_secs_f64();
    let spread = |times: &[Duration]| {
        let (least, most) = (times.iter().min(), times.iter().max());
        most.zip(least).map_or(1.0, |(most, least)| most.as_secs_f64() / least.as_secs_f64())
    };
    let itself = |times: &[Duration]| {
        let pairs = times.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?)));
        let (first, second): (Vec<_>, Vec<_>) = pairs.unzip();
        middle(&first).as_secs_f64() / middle(&second).as_secs_f64()
    };
    let ratio = |what: &str, theirs: &[Duration], ours: &[Duration], count: usize, bound: &str| {
        let times = middle(theirs).as_secs_f64() / middle(ours).as_secs_f64();
        say(
            what,
            &format!("{times:.2} ({} / {})", seconds(middle(theirs)), seconds(middle(ours))),
            &format!(
                "{bound}; {:.0} a second; ours against itself {:.2}, spread {:.2}; the other {:.2}",
                rate(count, ours),
                itself(ours),
                spread(ours),
                spread(theirs)
            ),
        );
    };
    let users = shop.users;
    say("prepared bodies", &format!("{} in {} requests", users, loader.requests()), "");
    ratio("seeding: the ancestor / ours", &theirs.seeds, &ours.seeds, users, "aim 2, at least 1");
    let limit = middle(&ours.seeds).as_secs_f64() / middle(bare).as_secs_f64();
    say(
        "seeding: ours / the same bodies with nothing in front",
        &format!("{limit:.2} ({} / {})", seconds(middle(&ours.seeds)), seconds(middle(bare))),
        &format!("aim 1.2, at most 1.6; the loader against itself {:.2}, spread {:.2}", itself(bare), spread(bare)),
    );
    let to = users.min(CHANGES);
    let drain = format!("drain of {to} users: the ancestor / ours");
    ratio(&drain, &theirs.drains, &ours.drains, to, "aim 4, at least 1");
    let limit: Vec<Duration> = again.iter().map(|(took, held)| *took * u32(to) / u32(*held)).collect();
    let times = middle(&ours.drains).as_secs_f64() / middle(&limit).as_secs_f64();
    say(
        "the same: ours / their bodies with nothing in front",
        &format!("{times:.2} ({} / {})", seconds(middle(&ours.drains)), seconds(middle(&limit))),
        &format!(
            "the ancestor / the bodies {:.2}",
            middle(&theirs.drains).as_secs_f64() / middle(&limit).as_secs_f64()
        ),
    );
    let drain = format!("drain of {CHANGES} order items: the ancestor / ours");
    ratio(&drain, &theirs.items, &ours.items, CHANGES, "aim 4, at least 1");
    let lone = |times: &[Duration]| {
        let at = |k| percentile(times, k).as_secs_f64() * 1e3;
        format!("p50 {:.1} ms, p99 {:.1} ms", at(50), at(99))
    };
    let rate = format!("commit to searchable at {} a second, of {}", 1_000 / APART.as_millis(), ours.lone.len());
    say(&rate, &lone(&ours.lone), "p50 below 30 ms");
    say("the same, the ancestor", &lone(&theirs.lone), "");
    let memory = |one: &Figures| format!("{} MiB at most, {} following", one.peak, one.live);
    say("resident memory", &memory(ours), &format!("the ancestor {}", memory(theirs)));
    let spent = |one: &Figures| seconds(middle(&one.seed_cpu));
    say("CPU time of seeding", &spent(ours), &format!("the ancestor {}", spent(theirs)));
}
