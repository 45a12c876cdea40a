//! What `atp` understands on its command line.

use std::convert::Infallible;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::adapter::AdapterArgs;
use crate::ask::AskArgs;
use crate::failure::Failure;
use crate::load::LoadArgs;
use crate::plan::PlanArgs;
use crate::replay::ReplayArgs;
use crate::top::TopArgs;

/// Where a router listens that has no configuration.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:7443";
/// Where its admin port is.
pub(crate) const DEFAULT_ADMIN: &str = "http://127.0.0.1:7444";

const AFTER_HELP: &str = "\
Begin with:
  atp up                           start the router with simulated models
  atp ask \"why is the sky blue\"    ask it from another terminal";

/// ATP Router: an LLM gateway in which tokens and dollars are bandwidth.
#[derive(Parser)]
#[command(name = "atp", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    /// Never use colours. NO_COLOR does the same when it is set to anything.
    #[arg(long, global = true, env = "NO_COLOR", hide_env = true, value_parser = not_empty, num_args = 0, default_missing_value = "1", action = clap::ArgAction::Set, default_value = "")]
    pub(crate) no_color: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the router.
    Up(UpArgs),
    /// Run one provider as a process of its own, behind gRPC.
    Adapter(Box<AdapterArgs>),
    /// Validate a configuration file without starting anything.
    Check(CheckArgs),
    /// Print the JSON schema of the configuration file.
    Schema,
    /// List the models of a running router.
    Models(ModelsArgs),
    /// Ask a running router one question and stream its answer.
    Ask(AskArgs),
    /// Show which model a running router would choose for a question, and why, without asking any.
    Plan(PlanArgs),
    /// Send many requests and measure how they are answered.
    Load(LoadArgs),
    /// Watch who shares the models of a running router: windows, queues, breakers, shares.
    Top(TopArgs),
    /// Make the decisions of a decision log again, and weigh another configuration against them.
    Replay(ReplayArgs),
    /// Print the version.
    Version(VersionArgs),
    /// Print a script that completes `atp` commands in a shell.
    Completions(CompletionsArgs),
}

impl Command {
    /// Whether a program reads what this command prints, its failure included.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Check(args) => args.json,
            Self::Models(args) => args.json,
            Self::Ask(args) => args.json,
            Self::Plan(args) => args.json,
            Self::Load(args) => args.json,
            Self::Top(args) => args.json,
            Self::Replay(args) => args.json,
            Self::Version(args) => args.json,
            Self::Up(_) | Self::Adapter(_) | Self::Schema | Self::Completions(_) => false,
        }
    }
}

#[derive(Args)]
pub(crate) struct UpArgs {
    /// The configuration file; without one, embedded defaults with simulated models.
    #[arg(short, long, env = "ATP_CONFIG", value_name = "FILE", value_parser = path())]
    config: Option<PathBuf>,
}

impl UpArgs {
    /// The file; a variable that is set to nothing counts as not set.
    pub(crate) fn config(&self) -> Option<PathBuf> {
        self.config.clone().filter(|path| !path.as_os_str().is_empty())
    }
}

#[derive(Args)]
pub(crate) struct CheckArgs {
    /// The configuration file.
    #[arg(short, long, env = "ATP_CONFIG", value_name = "FILE", value_parser = path())]
    config: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl CheckArgs {
    /// The file, likewise.
    pub(crate) fn config(&self) -> Result<PathBuf, Failure> {
        let config = self.config.clone().filter(|path| !path.as_os_str().is_empty());
        config.ok_or_else(|| Failure::usage("no configuration file").hint("name one with -c FILE or ATP_CONFIG"))
    }
}

#[derive(Args)]
pub(crate) struct ModelsArgs {
    #[command(flatten)]
    pub(crate) connect: Connect,
    /// Also tell what is known of the models, and the routes that choose among them: by the admin port.
    #[arg(short, long)]
    pub(crate) long: bool,
    /// The admin address of the router, for --long [default: http://127.0.0.1:7444].
    #[arg(long, env = "ATP_ADMIN_URL", value_name = "URL")]
    pub(crate) admin: Option<String>,
    /// Print the router's list as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct VersionArgs {
    /// Print it as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: Shell,
}

/// Which router is asked, and with which key.
#[derive(Args)]
pub(crate) struct Connect {
    /// The address of the router [default: http://127.0.0.1:7443].
    #[arg(long, env = "ATP_URL", value_name = "URL")]
    url: Option<String>,
    /// One of the router's keys, where it has any.
    #[arg(long, env = "ATP_API_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
}

impl Connect {
    /// The address; a variable that is set to nothing counts as not set.
    pub(crate) fn url(&self) -> &str {
        self.url.as_deref().filter(|url| !url.is_empty()).unwrap_or(DEFAULT_URL)
    }

    /// The key, likewise.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref().map(str::trim).filter(|key| !key.is_empty())
    }
}

/// A path that may be empty: clap's own parser refuses `ATP_CONFIG=`, which compose files write for "not set".
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// A switch whose variable counts as soon as it holds anything (no-color.org).
fn not_empty(text: &str) -> Result<bool, Infallible> {
    Ok(!text.is_empty())
}

#[cfg(test)]
mod tests;
