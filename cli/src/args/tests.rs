//! The command line, as clap reads it.

use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_and_option_says_what_it_does() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
    }
}

#[test]
fn only_these_variables_are_read() {
    let command = Cli::command();
    let all = command.get_subcommands().chain([&command]).flat_map(clap::Command::get_arguments);
    let read: std::collections::BTreeSet<_> = all.filter_map(|argument| argument.get_env()?.to_str()).collect();
    assert_eq!(
        read.into_iter().collect::<Vec<_>>(),
        ["ATP_ADAPTER_TOKEN", "ATP_ADMIN_URL", "ATP_API_KEY", "ATP_CONFIG", "ATP_URL", "NO_COLOR"]
    );
}

#[test]
fn a_key_from_the_environment_is_not_in_the_help() {
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments().filter(|argument| argument.get_id() == "key") {
            assert!(argument.is_hide_env_values_set());
        }
    }
}

#[test]
fn json_is_known_before_the_command_runs() {
    assert!(parse("atp models --json").command.wants_json());
    assert!(parse("atp ask --json hi").command.wants_json());
    assert!(parse("atp top --json --once").command.wants_json());
    assert!(!parse("atp ask hi").command.wants_json());
    assert!(!parse("atp schema").command.wants_json());
}

#[test]
fn colours_are_switched_off_anywhere_on_the_line() {
    assert!(parse("atp --no-color schema").no_color);
    assert!(parse("atp schema --no-color").no_color);
    assert_eq!((not_empty("0"), not_empty("")), (Ok(true), Ok(false)), "any value counts, none does not");
}

#[test]
fn what_is_set_to_nothing_is_not_set() {
    let Command::Models(args) = parse("atp models --url= --key=").command else { panic!("models") };
    assert_eq!((args.connect.url(), args.connect.key()), (DEFAULT_URL, None));
    let Command::Up(args) = parse("atp up --config=").command else { panic!("up") };
    assert_eq!(args.config(), None);
    let Command::Check(args) = parse("atp check --config=").command else { panic!("check") };
    assert!(args.config().is_err_and(|failure| failure.exit == 2));
}

#[test]
fn nonsense_is_refused() {
    for line in [
        "atp",
        "atp top -i soon",
        "atp ask --max-tokens 0 hi",
        "atp load -d soon",
        "atp load -H x",
        "atp completions dos",
        "atp chek",
    ] {
        assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
    }
}
