//! `mprism env`: what other programs need to reach this home.

use std::collections::BTreeMap;

use mprism_runtime::endpoint::Endpoint;
use mprism_settings::{COLD_DATABASE, HOT_DATABASE, Settings, WRITER_USER};
use serde::Serialize;

use crate::cli::{EnvArgs, EnvFormat};
use crate::commands::Context;
use crate::commands::prepare::SECRETS;
use crate::commands::reach;
use crate::control::Service;
use crate::error::{CliError, Exit};
use crate::report::{Page, Report};

/// Prints endpoints and the paths of credentials; never a credential.
pub(crate) fn run(args: &EnvArgs, context: &Context) -> Result<Exit, CliError> {
    let report = EnvReport::new(&context.settings()?);
    match args.format {
        EnvFormat::Dotenv => context.printer.report(&report),
        EnvFormat::Json => context.printer.as_json().report(&report),
    }
}

#[derive(Serialize)]
struct EnvReport {
    variables: BTreeMap<&'static str, String>,
    credentials: BTreeMap<&'static str, String>,
}

impl EnvReport {
    fn new(settings: &Settings) -> Self {
        let local = |port: u16| format!("http://127.0.0.1:{port}");
        let worker = |service: Service| reach::worker(settings, service).to_string();
        let metrics = Endpoint {
            port: settings.collector.metrics_port,
            ..reach::worker(settings, Service::Collector)
        };
        let variables = [
            ("MPRISM_HOME", settings.home.root().display().to_string()),
            // Credentials within a URL stay where they were said.
            ("MARKETPRISM_NATS_URL", settings.nats.url.to_string()),
            ("MPRISM_NATS_MONITOR_URL", local(settings.nats.monitor_port)),
            ("CLICKHOUSE_HTTP_URL", format!("{}/", settings.clickhouse.url)),
            ("CLICKHOUSE_HOT_DB", HOT_DATABASE.to_owned()),
            ("CLICKHOUSE_COLD_DB", COLD_DATABASE.to_owned()),
            ("MPRISM_CLICKHOUSE_WRITER_USER", WRITER_USER.to_owned()),
            ("MPRISM_HOT_URL", worker(Service::Hot)),
            ("MPRISM_COLD_URL", worker(Service::Cold)),
            ("MPRISM_COLLECTOR_URL", worker(Service::Collector)),
            ("MPRISM_COLLECTOR_METRICS_URL", metrics.to_string()),
            ("MPRISM_SIM_URL", local(settings.sim.port)),
        ];
        let credential =
            |(variable, name): &(&'static str, &str)| (*variable, settings.home.secret(name).display().to_string());
        let mut variables: BTreeMap<_, _> = variables.into_iter().collect();
        // Whoever believes this host's listeners has to know whom: it is no secret.
        if let Some(ca_file) = &settings.tls.ca_file
            && ca_file.is_file()
        {
            variables.insert("MPRISM_CA_FILE", ca_file.display().to_string());
        }
        Self {
            variables,
            credentials: SECRETS.iter().map(credential).collect(),
        }
    }
}

impl Report for EnvReport {
    fn page(&self) -> Page {
        let all = self.variables.iter().chain(&self.credentials);
        all.fold(Page::new(), |page, (name, value)| {
            page.line(format!("{name}={}", quoted(value)))
        })
    }
}

/// Quotes a value where a shell, or a reader of dotenv files, would read it as something else.
fn quoted(value: &str) -> String {
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "/:._-".contains(c));
    if plain {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_value_is_read_back_as_it_was() {
        assert_eq!(quoted("http://127.0.0.1:8123/"), "http://127.0.0.1:8123/");
        assert_eq!(quoted("/a b/$(x)'s"), "'/a b/$(x)'\\''s'");
    }
}
