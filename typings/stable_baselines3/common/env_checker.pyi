from typing import TypeVar

import gymnasium

_Seen = TypeVar("_Seen")
_Done = TypeVar("_Done")

def check_env(env: gymnasium.Env[_Seen, _Done], warn: bool = ..., skip_render_check: bool = ...) -> None: ...
