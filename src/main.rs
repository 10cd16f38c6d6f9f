//! Starts mprism; everything it does lives in the library, so that tests reach it.
fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
