//! The command `charflow`: fits a transport map to two files of points, and uses it.
//!
//! One file a verb in `verbs/`; each turns arguments into a plan, calls the libraries, and says what came out. No mathematics here.
//!
//! Exit status: 0 done, 1 ran but fell short, 2 the command line or a file cannot be used.

mod failure;
mod files;
mod interrupt;
mod pictures;
mod progress;
mod run;
mod terminal;
mod verbs;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

/// Optimal transport maps between two sets of points, forward, backward and at any time in between, from one neural network.
#[derive(Parser)]
#[command(
    name = "charflow",
    version,
    propagate_version = true,
    max_term_width = 110,
    after_help = "\
Example (every line runs as printed):
  charflow data swiss-roll -o data
  charflow data moons -o data
  charflow fit data/swiss-roll.csv data/moons.csv -o run --time-limit 1m
  charflow transport run data/swiss-roll.csv -o moved.csv

Exit status: 0 done, 1 ran but fell short (diverged, interrupted), 2 wrong usage or unusable input."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Fit(verbs::fit::Fit),
    Transport(verbs::transport::Transport),
    Evaluate(verbs::evaluate::Evaluate),
    Plot(verbs::plot::Plot),
    Color(verbs::color::Color),
    Latent(verbs::latent::Latent),
    Data(verbs::data::Data),
    Demo(verbs::demo::Demo),
    Bench(verbs::bench::Bench),
}

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or(String::new(), |l| format!(" ({}:{})", l.file(), l.line()));
        let payload = info.payload();
        let what = payload
            .downcast_ref::<&str>()
            .copied()
            .or(payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        terminal::tell(&format!(
            "error: this is a bug in charflow {}, not in your data: {what}{place}. Please report it with the command line.",
            env!("CARGO_PKG_VERSION")
        ));
    }));
    let cli = Cli::parse();
    interrupt::listen();
    let done = charflow_kernels::Isa::forced()
        .map_err(Failure::Input)
        .and_then(|_| match cli.verb {
            Verb::Fit(verb) => verb.run(),
            Verb::Transport(verb) => verb.run(),
            Verb::Evaluate(verb) => verb.run(),
            Verb::Plot(verb) => verb.run(),
            Verb::Color(verb) => verb.run(),
            Verb::Latent(verb) => verb.run(),
            Verb::Data(verb) => verb.run(),
            Verb::Demo(verb) => verb.run(),
            Verb::Bench(verb) => verb.run(),
        });
    match done {
        Ok(()) | Err(Failure::Pipe) => ExitCode::SUCCESS,
        Err(Failure::Short(message)) => {
            terminal::tell(&format!("error: {message}"));
            ExitCode::from(1)
        }
        Err(Failure::Input(message)) => {
            terminal::tell(&format!("error: {message}"));
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_example_in_the_help_is_a_command_line() {
        let mut command = Cli::command();
        let mut seen = 0;
        let mut helps = vec![command.render_long_help().to_string()];
        for verb in command
            .get_subcommands_mut()
            .filter(|v| v.get_name() != "help")
        {
            let help = verb.render_long_help().to_string();
            assert!(
                help.contains("Example"),
                "{} has no example",
                verb.get_name()
            );
            helps.push(help);
        }
        for help in helps {
            for line in help
                .lines()
                .map(str::trim)
                .filter(|l| l.starts_with("charflow "))
            {
                let words = line.split_whitespace().map(|w| w.trim_matches('\''));
                assert!(Cli::try_parse_from(words).is_ok(), "{line}");
                seen += 1;
            }
        }
        assert!(seen >= 15, "{seen} examples found");
    }
}
