//! `cercle-loadtest`: real clients with real keys against a real hub, counted to the last message.
//!
//! Every client is a [`cercle_sdk::client::Client`] with a store on disk and an MLS state of its own, so that
//! a figure is what a user would see and a loss is a loss. Exit codes: 0 everything arrived once and in order,
//! 1 something did not, 2 wrong arguments, 3 the scenario could not be run.

mod arguments;
mod clock;
mod fleet;
mod hearing;
mod hub;
mod latency;
mod limits;
mod probe;
mod raw;
mod reference;
mod report;
mod scenario;
mod verdict;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Parser;

use arguments::{Arguments, Scenario};
use report::Report;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Scenario::ReferenceHub { data } = &arguments.scenario {
        return reference_hub(data);
    }
    let json = arguments.json;
    match run(arguments) {
        Ok(report) => {
            let text = if json { report.to_json() } else { report.to_table() };
            // Nobody can be told if standard output is closed; the exit code still says it.
            let _ = io::stdout().write_all(text.as_bytes());
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "cercle-loadtest: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn reference_hub(data: &std::path::Path) -> ExitCode {
    let served = started().and_then(|runtime| runtime.block_on(Box::pin(reference::serve(data))));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cercle-loadtest: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<Report> {
    started()?.block_on(Box::pin(scenario::run(arguments)))
}

fn started() -> anyhow::Result<tokio::runtime::Runtime> {
    limits::raise_descriptors().context("the limit of open files cannot be raised")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started")
}
