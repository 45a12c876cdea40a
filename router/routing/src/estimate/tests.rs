//! Claims about whole forecasts.

use super::*;
