//! `cercle-loadtest`: real and raw clients against a real hub, counted to the last message.
//!
//! A real client is a [`cercle_sdk::client::Client`] with a store on disk and an MLS state of its own, so that
//! a figure is what a user would see. A raw client has a device's keys and session and posts opaque bytes, so
//! that thousands cost little. Exit codes: 0 everything arrived once and in order and within the budgets, 1
//! not, 2 wrong arguments, 3 the scenario could not be run.

mod arguments;
mod clock;
mod field;
mod fleet;
mod hearing;
mod hub;
mod latency;
mod limits;
mod plan;
mod probe;
mod progress;
mod push_endpoint;
mod raw;
mod reference;
mod report;
mod scenario;
mod system;
mod traffic;
mod verdict;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use arguments::{Arguments, Command};
use progress::Progress;
use report::Budgets;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::ReferenceHub { data } => reference_hub(data),
        _ => run(arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cercle-loadtest: {error:#}");
            ExitCode::from(3)
        }
    }
}

fn reference_hub(data: &Path) -> anyhow::Result<bool> {
    started()?.block_on(Box::pin(reference::serve(data)))?;
    Ok(true)
}

/// Runs a scenario and shows its report; whether it is as it should be.
fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let output = &arguments.output;
    let (json, html, progress) = (output.json, output.html.clone(), Progress::new(output.progress));
    let budgets = output.budgets.as_deref().map(Budgets::read).transpose()?;
    let mut report = started()?.block_on(async {
        tokio::select! {
            report = Box::pin(scenario::run(arguments, &progress)) => report,
            given_up = given_up(&progress) => given_up,
        }
    })?;
    if let Some(budgets) = &budgets {
        report.judge(budgets);
    }
    if let Some(html) = &html {
        std::fs::write(html, report.to_html()).with_context(|| format!("writing {}", html.display()))?;
    }
    let text = if json { report.to_json() } else { report.to_table() };
    // Nobody can be told if standard output is closed; the exit code still says it.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(report.is_clean())
}

/// The first Ctrl-C stops the load and lets the run show what it has; the second, or SIGTERM, gives it up.
/// Either way the processes that were started here are ended.
async fn given_up(progress: &Progress) -> anyhow::Result<report::Report> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked?,
        _ = terminate.recv() => bail!("ended from outside"),
    }
    progress.stop();
    tokio::select! {
        asked = tokio::signal::ctrl_c() => asked?,
        _ = terminate.recv() => {}
    }
    bail!("given up")
}

fn started() -> anyhow::Result<tokio::runtime::Runtime> {
    limits::raise_descriptors().context("the limit of open files cannot be raised")?;
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started")
}
