//! The keys that tests press at a page.

/// A key as the DevTools protocol describes it.
#[derive(Clone, Copy)]
pub enum Key {
    /// Enter alone.
    Enter,
    /// Enter while Shift is held.
    ShiftEnter,
    /// Enter as an input method gets it while it composes.
    ComposingEnter,
    /// To the next control.
    Tab,
    /// Back to the control before.
    ShiftTab,
    /// Leaves a dialog.
    Escape,
    /// Presses a button.
    Space,
    /// To what is above.
    Up,
    /// To what is below.
    Down,
    /// To what is at the left.
    Left,
    /// To what is at the right.
    Right,
    /// To the first.
    Home,
    /// To the last.
    End,
    /// Finds.
    ControlF,
}

impl Key {
    /// Its name, the text that it writes, its code, and the modifiers that are held.
    pub fn described(self) -> (&'static str, &'static str, u32, u32) {
        match self {
            Key::Enter => ("Enter", "\r", 13, 0),
            Key::ShiftEnter => ("Enter", "\r", 13, 8),
            Key::ComposingEnter => ("Enter", "", 229, 0),
            Key::Tab => ("Tab", "", 9, 0),
            Key::ShiftTab => ("Tab", "", 9, 8),
            Key::Escape => ("Escape", "", 27, 0),
            Key::Space => (" ", " ", 32, 0),
            Key::Up => ("ArrowUp", "", 38, 0),
            Key::Down => ("ArrowDown", "", 40, 0),
            Key::Left => ("ArrowLeft", "", 37, 0),
            Key::Right => ("ArrowRight", "", 39, 0),
            Key::Home => ("Home", "", 36, 0),
            Key::End => ("End", "", 35, 0),
            Key::ControlF => ("f", "", 70, 2),
        }
    }
}
