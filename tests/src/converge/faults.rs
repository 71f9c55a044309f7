//! What goes wrong on purpose.

use std::io;
use std::time::Duration;

use super::follower::Follower;
use super::random::Random;
use crate::{Server, Session};

/// One kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` of the host.
    Kill,
    /// SIGTERM, and a new start.
    Terminate,
    /// The server ends the sender of the stream.
    Sender,
    /// The server ends the sessions that documents are read with.
    Readers,
    /// The database crashes and comes back.
    Database,
    /// A table gets another column.
    Column,
    /// A table is written anew, with nothing changed.
    Rewrite,
    /// The host stands still, for longer than the server is patient with its connection.
    Freeze,
    /// The host is started with the word to seed everything again.
    Reseed,
    /// The slot is dropped while the host is down: the history is lost.
    Slot,
}

impl Fault {
    /// All, by name.
    pub const ALL: [(&'static str, Self); 10] = [
        ("kill", Self::Kill),
        ("terminate", Self::Terminate),
        ("sender", Self::Sender),
        ("readers", Self::Readers),
        ("database", Self::Database),
        ("column", Self::Column),
        ("rewrite", Self::Rewrite),
        ("freeze", Self::Freeze),
        ("reseed", Self::Reseed),
        ("slot", Self::Slot),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, fault)| *fault == self).map_or("", |(name, _)| name)
    }
}

/// What a fault works on.
pub(super) struct Victims<'a> {
    pub(super) server: &'a mut Server,
    pub(super) follower: &'a mut Follower,
    /// Columns added so far.
    pub(super) columns: &'a mut u64,
}

/// Makes it happen. Afterwards the host runs, or tries to. `Err`: what should not have come of it.
pub(super) fn inject(fault: Fault, victims: Victims<'_>, random: &mut Random) -> Result<(), String> {
    let Victims { server, follower, columns } = victims;
    let port = server.port();
    match fault {
        Fault::Kill => {
            follower.kill();
            rest(random, 300);
            follower.start(&[]);
        }
        Fault::Terminate => {
            // One that a fault before this one ended is not there any more; whoever looks next sees to it.
            if let Some(end) = follower.terminate()
                && end.code != Some(0)
            {
                return Err(format!("SIGTERM ended it with {:?}: {}", end.code, end.log));
            }
            follower.start(&[]);
        }
        Fault::Sender => {
            let _ = run(port, "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
        }
        Fault::Readers => {
            // One of them, or all.
            let limit = if random.once_in(2) { "LIMIT 1" } else { "" };
            let _ = run(
                port,
                &format!(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'flusso%' AND backend_type = 'client backend' ORDER BY random() {limit}) p"
                ),
            );
        }
        Fault::Database => {
            server.crash();
            rest(random, 1_500);
            server.resume();
        }
        Fault::Column => {
            let table = random.one_of(&[
                "users",
                "orders",
                "items",
                "tags",
                "labels",
                "companies",
                "crm.orders",
                "pieces",
                "taggings",
            ]);
            *columns += 1;
            let default = if random.once_in(2) { "DEFAULT 7" } else { "" };
            let sql = format!(
                "SET lock_timeout = '5s'; ALTER TABLE {} ADD COLUMN added_{columns} int {default}",
                table.unwrap_or("users")
            );
            let _ = run(port, &sql);
        }
        Fault::Rewrite => {
            let table = random.one_of(&["users", "orders", "items", "labels"]).unwrap_or("users");
            let _ = run(port, &format!("VACUUM FULL {table}"));
        }
        Fault::Freeze => {
            follower.signal("STOP");
            rest(random, 5_000);
            follower.signal("CONT");
        }
        Fault::Reseed => {
            follower.kill();
            follower.start(&["--reseed"]);
        }
        Fault::Slot => {
            follower.kill();
            drop_slots(port).map_err(|error| format!("the slot is not to be dropped: {error}"))?;
            follower.start(&[]);
        }
    }
    Ok(())
}

fn rest(random: &mut Random, most: u64) {
    if !random.once_in(3) {
        std::thread::sleep(Duration::from_millis(random.below(most)));
    }
}

fn run(port: u16, sql: &str) -> io::Result<()> {
    Session::open(port, "world")?.rows(sql).map(drop)
}

fn drop_slots(port: u16) -> io::Result<()> {
    run(
        port,
        "DO $$ BEGIN FOR i IN 1..200 LOOP
             PERFORM pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active;
             EXIT WHEN NOT EXISTS (SELECT FROM pg_replication_slots WHERE active);
             PERFORM pg_sleep(0.05);
         END LOOP; END $$",
    )?;
    run(port, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
}
