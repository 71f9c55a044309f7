//! What `check` reports of the cluster and of the indexes that a start would make or write to. Changes nothing there.

use std::collections::BTreeMap;

use flusso_plugin::{Error, Finding, Mapping, Result, Settings as Given, Severity, SinkDiagnosis};

use crate::client::Client;
use crate::cluster::{self, Found};
use crate::field_names::FieldNames;
use crate::indexes::stray_aliases;
use crate::names::Names;
use crate::settings::{Settings, TextAnalysis};
use crate::{CALL_LIMIT, OpenSearch, mapping, warnings};

impl SinkDiagnosis for OpenSearch {
    fn examine(settings: Given, mappings: Vec<Mapping>) -> Result<Vec<Finding>> {
        let settings: Settings = settings.parse()?;
        settings.check_languages()?;
        let mut client = Client::new(&settings)?;
        client.within(CALL_LIMIT);
        let mut report = Report { subject: format!("cluster {}", client.address()), findings: Vec::new() };
        for (code, message) in warnings(&settings, &client) {
            report.add(Severity::Warning, code, message.to_owned(), None);
        }
        let version = cluster::version(&mut client)?;
        report.cluster(&mut client, &settings, &version)?;
        let mappings: Vec<(Names, Mapping)> = mappings
            .into_iter()
            .map(|mapping| mapping::with_analysis(mapping, &settings))
            .map(|mapping| (Names::of(&mapping, settings.meta_index.as_deref()), mapping))
            .collect();
        let all: Vec<Names> = mappings.iter().map(|(names, _)| names.clone()).collect();
        let mut found = BTreeMap::new();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(cluster::names_in_one_request(rest));
            found.extend(cluster::owned(&mut client, some)?);
            rest = others;
        }
        for (names, mapping) in &mappings {
            report.subject = format!("index {}", names.index);
            report.mapping(names, mapping, &settings);
            report.index(names, &found, version.can_require_alias());
        }
        Ok(report.findings)
    }
}

struct Report {
    /// What is being looked at.
    subject: String,
    findings: Vec<Finding>,
}

impl Report {
    fn add(&mut self, severity: Severity, code: &str, message: String, remedy: Option<String>) {
        let (subject, code) = (self.subject.clone(), code.to_owned());
        self.findings.push(Finding { severity, subject, code, message, remedy, extra: None });
    }

    fn ok(&mut self, code: &str, message: String) {
        self.add(Severity::Ok, code, message, None);
    }

    /// The cluster as a whole.
    fn cluster(&mut self, client: &mut Client, settings: &Settings, version: &cluster::Version) -> Result<()> {
        let product = match (version.distribution.as_str(), version.number.as_str()) {
            (_, "") => "it answers, and does not tell its version".to_owned(),
            ("", number) => format!("Elasticsearch {number} answers"),
            (distribution, number) => format!("{distribution} {number} answers"),
        };
        self.ok("cluster", product);
        if let Some(pipeline) = &settings.pipeline {
            match cluster::check_pipeline(client, pipeline) {
                Ok(()) => {}
                Err(Error::Configuration(error)) => {
                    self.add(Severity::Error, "pipeline-missing", error.message, None);
                }
                Err(error) => return Err(error),
            }
        }
        if settings.text_analysis == TextAnalysis::Icu && !cluster::has_icu(client)? {
            let message = "the cluster does not have the plugin analysis-icu, which `text_analysis = \"icu\"` needs";
            let remedy = "opensearch-plugin install analysis-icu   # on every node, which is restarted then";
            self.add(Severity::Error, "analysis-missing", message.to_owned(), Some(remedy.to_owned()));
        }
        for block in cluster::blocks(client)? {
            let message = format!("the cluster has the block cluster.blocks.{block}: nothing can be written");
            let setting = format!("\"cluster.blocks.{block}\": null");
            let body = format!("{{ \"persistent\": {{ {setting} }}, \"transient\": {{ {setting} }} }}");
            self.add(Severity::Error, "cluster-blocked", message, Some(format!("PUT /_cluster/settings {body}")));
        }
        Ok(())
    }

    /// What becomes of a mapping in this cluster.
    fn mapping(&mut self, names: &Names, mapping: &Mapping, settings: &Settings) {
        if let Some(message) = names.renamed(&mapping.index) {
            self.add(Severity::Warning, "index-renamed", message, None);
        }
        for message in FieldNames::of(&mapping.fields).messages() {
            self.add(Severity::Warning, "field-renamed", message, None);
        }
        if let Err(error) = mapping::body(mapping, settings) {
            let message = match error {
                Error::Configuration(error) => error.message,
                error => format!("{error:?}"),
            };
            self.add(Severity::Error, "mapping-refused", message, None);
        }
    }

    /// What there is of an index.
    fn index(&mut self, names: &Names, found: &BTreeMap<String, Found>, write_aliases: bool) {
        if found.contains_key(&names.alias) {
            let message = format!("an index has the name {}, which an alias is to have", names.alias);
            let remedy = format!("DELETE /{}   # or reindex it under another name first", names.alias);
            return self.add(Severity::Error, "name-taken", message, Some(remedy));
        }
        let ours = |(name, found): (&String, &Found)| found.origin.is_some().then(|| names.number(name)).flatten();
        let mut generations: Vec<_> = found.iter().filter(|one| ours(*one).is_some()).collect();
        generations.sort_by_key(|one| ours(*one));
        for (name, index) in &generations {
            if index.closed {
                let message = format!("index {name} is closed: what is to be written waits");
                self.add(Severity::Error, "index-closed", message, Some(format!("POST /{name}/_open")));
            }
            for block in &index.blocks {
                let (message, remedy) = blocked(name, block);
                self.add(Severity::Error, "index-blocked", message, Some(remedy));
            }
        }
        for (code, message) in stray_aliases(names, found, write_aliases) {
            self.add(Severity::Warning, code, message, None);
        }
        let serving = generations.iter().find(|(_, index)| index.aliases.contains_key(&names.alias));
        let other =
            || found.iter().find(|(name, index)| names.is_generation(name) && index.aliases.contains_key(&names.index));
        let stands = match (serving, other()) {
            (Some((name, index)), _) if index.sleeps => format!("{name} is being filled"),
            (Some((name, _)), _) => format!("{name} serves"),
            (None, Some((other, _))) => {
                format!("another mapping than that of {other}, which serves until this one's index is whole")
            }
            (None, None) => "it is made by the start".to_owned(),
        };
        self.ok("index", stands);
    }
}

/// What a block of an index means, and the request that lifts it.
fn blocked(index: &str, block: &str) -> (String, String) {
    let why = match block {
        "read_only_allow_delete" => {
            "; a node that runs out of disk space sets it, and takes it away when there is room"
        }
        _ => "",
    };
    let message = format!("index {index} has the block index.blocks.{block}: what is to be written waits{why}");
    (message, format!("PUT /{index}/_settings {{ \"index.blocks.{block}\": null }}"))
}
