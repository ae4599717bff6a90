//! Chores: `cargo xtask test | volume | fixtures | tidy | bench | soak | ci`.

mod run;
mod tidy;
mod tools;

use std::process::ExitCode;

const HELP: &str = "cargo xtask <task>

  test [ARGS]   installs what the tests need (and says so), then runs every test
  volume        of these only the stores of a million and of ten million spans, built as release
  fixtures      makes the store of the newest schema that upgrade tests open, if it is not there
  tidy          checks the tree: arrows, file lengths, frozen migrations
  bench [ARGS]  the benchmark: a seeded corpus into a fresh server; --help for its options
  soak [ARGS]   200 rounds of kill -9 in mid-load; --help for its options
  ci            what CI runs: fmt, tidy, clippy, test, the demo checked by itself, docs
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let done = match task.as_str() {
        "test" => run::test(&rest),
        "volume" => run::volume(),
        "fixtures" => run::fixtures(),
        "tidy" => tidy::check(),
        "bench" | "soak" => run::tests_binary(&task, &rest),
        "ci" => run::ci(),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {task}: {why}");
            ExitCode::FAILURE
        }
    }
}
