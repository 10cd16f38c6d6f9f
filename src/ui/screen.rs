//! The whole terminal, for as long as a dashboard is shown; given back however that ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use tokio::sync::mpsc;

use crate::report::{Dashboard, Input};
use crate::ui::top;

/// How long the thread that hears keys goes on after the screen is gone.
const HEAR_WITHIN: Duration = Duration::from_millis(250);
/// Keys that were typed and not looked at yet.
const INPUTS_MAX: usize = 16;

/// The terminal in raw mode on its other screen.
#[derive(Debug)]
pub struct Screen {
    terminal: DefaultTerminal,
    color: bool,
    is_closed: Arc<AtomicBool>,
}

impl Screen {
    pub(crate) fn open(color: bool) -> io::Result<Self> {
        Ok(Self {
            // A panic gives the terminal back, too, before it says what it was.
            terminal: ratatui::try_init()?,
            color,
            is_closed: Arc::default(),
        })
    }

    /// Draws all of it; what did not change is not sent.
    ///
    /// # Errors
    /// Where the terminal does not take it.
    pub fn draw(&mut self, dashboard: &Dashboard) -> io::Result<()> {
        let color = self.color;
        self.terminal.draw(|frame| top::draw(frame, dashboard, color))?;
        Ok(())
    }

    /// Hears what is typed, in a thread of its own: reading a terminal blocks.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn inputs(&self) -> io::Result<mpsc::Receiver<Input>> {
        let (inputs, heard) = mpsc::channel(INPUTS_MAX);
        let is_closed = self.is_closed.clone();
        let hear = move || {
            while !is_closed.load(Ordering::Relaxed) {
                let input = match event::poll(HEAR_WITHIN) {
                    Ok(false) => continue,
                    Ok(true) => event::read().map(meaning),
                    Err(error) => Err(error),
                };
                match input {
                    Ok(Some(input)) if inputs.blocking_send(input).is_err() => return,
                    Ok(_) => {}
                    // The terminal is gone.
                    Err(_) => return,
                }
            }
        };
        // It ends with the screen.
        std::thread::Builder::new().name("keys".into()).spawn(hear)?;
        Ok(heard)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::Relaxed);
        ratatui::restore();
    }
}

fn meaning(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Some(key_meaning(key)),
        Event::Resize(..) | Event::FocusGained => Some(Input::Redraw),
        _ => None,
    }
}

fn key_meaning(key: KeyEvent) -> Input {
    let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('c') if is_control => Input::Interrupt,
        KeyCode::Char('q') => Input::Quit,
        KeyCode::Char('?' | 'h') => Input::Help,
        KeyCode::Char('s') => Input::Sort,
        KeyCode::Char('p' | ' ') => Input::Pause,
        _ => Input::Close,
    }
}
