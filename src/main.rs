//! Starts mprism; everything it does lives in the library, so that tests reach it.

fn main() -> std::process::ExitCode {
    mprism::run(std::env::args_os().collect(), mprism::environment())
}
