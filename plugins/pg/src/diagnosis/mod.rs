//! `check`: what would stop a start, and what would only fail later, each with the statement that repairs it. Reads the
//! catalogue and changes nothing.

mod code;
mod fields;
mod lookups;
mod publication;
mod schema;
mod server;
mod tables;

use crate::catalog::interest::{self, Misfit};
use crate::catalog::table::{self, Table};
use crate::catalog::views;
use crate::documents::builder::DocumentBuilder;
use crate::error::{Error, Result};
use crate::protocol::session::{CALL_LIMIT, Mode, Session};
use crate::settings::Settings;
use code::Code;
use flusso_plugin::{Diagnosis, Examination, Finding, IndexRequest, Severity, TableName};
use std::collections::{HashMap, HashSet};

/// What was found so far.
#[derive(Default)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(
        &mut self,
        severity: Severity,
        code: Code,
        subject: &str,
        message: impl Into<String>,
        remedy: Option<String>,
    ) {
        let (subject, code) = (subject.to_owned(), code.word().to_owned());
        let finding = Finding { severity, subject, code, message: message.into(), remedy, extra: None };
        // A table that several indexes read is looked at several times.
        let same =
            |it: &Finding| (&it.subject, &it.code, &it.message) == (&finding.subject, &finding.code, &finding.message);
        if !self.findings.iter().any(same) {
            self.findings.push(finding);
        }
    }

    fn ok(&mut self, code: Code, subject: &str, message: impl Into<String>) {
        self.add(Severity::Ok, code, subject, message, None);
    }

    fn warn(&mut self, code: Code, subject: &str, message: impl Into<String>, remedy: impl Into<Option<String>>) {
        self.add(Severity::Warning, code, subject, message, remedy.into());
    }

    fn error(&mut self, code: Code, subject: &str, message: impl Into<String>, remedy: impl Into<Option<String>>) {
        self.add(Severity::Error, code, subject, message, remedy.into());
    }

    fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }
}

/// The ability to look without starting.
pub struct PgDiagnosis;

impl Diagnosis for PgDiagnosis {
    fn examine(settings: flusso_plugin::Settings, of: Examination) -> flusso_plugin::Result<Vec<Finding>> {
        Ok(examine(&Settings::from_json(settings.parse()?)?, &of)?)
    }
}

/// Looks at everything that can be looked at.
pub fn examine(settings: &Settings, of: &Examination) -> Result<Vec<Finding>> {
    let mut report = Report::default();
    let indexes = of.indexes.as_deref();
    let mut schemas = schema::read(indexes.unwrap_or_default(), &mut report);
    if !of.online {
        return Ok(report.findings);
    }
    let mut session = match Session::open(&settings.connection, Mode::Reading).map_err(Error::classified) {
        Ok(session) => session,
        Err(Error::Transient(why)) => {
            report.error(Code::Unreachable, "server", why, None);
            return Ok(report.findings);
        }
        Err(error) => return Err(error),
    };
    session.within(CALL_LIMIT);
    let server = server::look(&mut session, settings, &mut report)?;
    let mut read: Vec<Table> = Vec::new();
    match indexes {
        Some([]) => every_table(&mut session, &mut read, &mut report)?,
        Some(indexes) => {
            let good = schema::check(&mut session, indexes, &mut schemas, &mut read, &mut report)?;
            relations(settings, &good, &read, &mut report)?;
        }
        None => others(&mut session, of, &mut read, &mut report)?,
    }
    read.retain(Table::is_streamed);
    publication::look(&mut session, settings, &server, &read, &mut report)?;
    Ok(report.findings)
}

/// No index was asked for: each table that can be followed is one.
fn every_table(session: &mut Session, read: &mut Vec<Table>, report: &mut Report) -> Result<()> {
    for table in table::all(session)? {
        let obstacles = tables::obstacles(&table);
        if obstacles.is_empty() {
            read.push(table);
            continue;
        }
        let subject = tables::subject(&table);
        for (code, why, remedy) in obstacles {
            report.warn(code, &subject, format!("{why}; it is left out"), remedy);
        }
    }
    tables::inheritance(session, read, report)?;
    if let Some(left_out) = views::left_out(session)? {
        report.warn(Code::NotFollowed, "views", left_out, None);
    }
    if read.is_empty() {
        report.warn(
            Code::NoIndex,
            "indexes",
            "no table can be an index: this role sees none that has a primary key and can be followed",
            None,
        );
    }
    Ok(())
}

impl Misfit {
    fn code(&self) -> Code {
        match self {
            Self::Table(_) => Code::TableMissing,
            Self::Column(_) => Code::ColumnMissing,
            Self::Key(_) => Code::KeyNotUnique,
        }
    }
}

/// The tables that another plugin's builder reads through this source.
fn others(session: &mut Session, of: &Examination, read: &mut Vec<Table>, report: &mut Report) -> Result<()> {
    let names: Vec<_> = of.tables.iter().map(|one| (one.table.schema.as_str(), one.table.name.as_str())).collect();
    let there = table::named(session, &names)?.into_iter();
    let there: HashMap<_, _> = there.map(|table| ((table.schema.clone(), table.name.clone()), table)).collect();
    let mut listed = HashSet::new();
    let mut looked_up = Vec::new();
    for one in &of.tables {
        let TableName { schema, name } = &one.table;
        let first = listed.insert((schema, name));
        let Some(table) = there.get(&(schema.clone(), name.clone())) else {
            if first {
                schema::missing(session, schema, name, &format!("table {schema}.{name}"), "", report)?;
            }
            continue;
        };
        let mut table = table.clone();
        if !table.is_streamed() {
            let message =
                format!("it is a {}: it is read, and the change stream has no changes of it", table.kind_word());
            report.warn(Code::NotFollowed, &tables::subject(&table), message, None);
        }
        let found = interest::compare(session, one, &table, None, first)?;
        for misfit in &found.misfits {
            report.error(misfit.code(), &tables::subject(&table), misfit.message(), None);
        }
        if !first {
            continue;
        }
        if let Some(reads) = &one.reads {
            table.read_only_by(one.key.iter().chain(&one.links).chain(reads).map(String::as_str));
        }
        match found.by_other_key {
            true if found.misfits.is_empty() => tables::check_by(&table, &one.key, report),
            true => {}
            false => tables::check(&table, !one.key.is_empty(), report),
        }
        looked_up.push((table.clone(), one.links.clone()));
        read.push(table);
    }
    lookups::look_links(session, &looked_up, report)
}

/// For each relation, which way a child that goes or moves is followed to where it was.
fn relations(settings: &Settings, good: &[IndexRequest], read: &[Table], report: &mut Report) -> Result<()> {
    if good.is_empty() {
        return Ok(());
    }
    // As it is, and not as the next start will have it.
    let now = Settings { manage_replica_identity: false, ..settings.clone() };
    let builder = match DocumentBuilder::start(&now, good, crate::links::of_host()).map_err(Error::classified) {
        Ok(builder) => builder,
        Err(Error::Transient(why)) => return Err(Error::Transient(why)),
        Err(error) => {
            report.error(Code::IndexRefused, "indexes", error.to_string(), None);
            return Ok(());
        }
    };
    let streamed = |name: &TableName| {
        read.iter().any(|table| table.is_streamed() && table.schema == name.schema && table.name == name.name)
    };
    for relation in builder.relations().into_iter().filter(|relation| streamed(&relation.table)) {
        tables::relation(&relation, settings.manage_replica_identity, report);
    }
    Ok(())
}
