//! Starts mprism; everything it does lives in the library, so that tests reach it.

/// Gives memory back: a worker that once held a large backlog would keep it with glibc's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mprism::run(std::env::args_os().collect(), mprism::environment())
}
