//! The command line of a health professional.
//!
//! [`arguments`] says what can be asked, [`commands`] does it through the SDK's `Client`, [`output`] shows it
//! to a person (in French or English) or to a program (one JSON object a line, [`records`]), [`failure`]
//! and [`exit`] say what went wrong. [`demo`] shows the whole product on one machine. docs/cli.md describes
//! commands, exit codes and JSON fields.

#[macro_use]
mod language;

mod arguments;
mod commands;
mod context;
mod demo;
mod exit;
mod failure;
mod interrupt;
mod limits;
mod moment;
mod output;
mod passphrase;
mod progress;
mod records;
mod resolve;
mod shown;
mod stdin;

use std::process::ExitCode;

use arguments::Invocation;
use exit::Exit;
use output::Output;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let language = language::detect(&arguments);
    let invocation = match arguments::parse(&arguments, language) {
        Ok(invocation) => invocation,
        Err(answer) => return answer.print().into(),
    };
    start_logs();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let exit = match runtime {
        Ok(runtime) => {
            let exit = runtime.block_on(Box::pin(run(invocation)));
            // A read from the terminal cannot be cancelled and must not keep the process.
            runtime.shutdown_background();
            exit
        }
        Err(_) => Exit::Fault,
    };
    exit.into()
}

async fn run(invocation: Invocation) -> Exit {
    let output = Output::new(invocation.language, invocation.json);
    match Box::pin(commands::run(invocation, &output)).await {
        Ok(exit) => exit,
        Err(failure) => {
            output.failure(&failure);
            failure.exit
        }
    }
}

/// Logs go to standard error, and only if somebody asks for them (`CERCLE_LOG=debug`).
fn start_logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CERCLE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
