from enum import Enum

class NotifyType(Enum):
    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"

class NotifyBase:
    def notify(self, body: str, title: str | None = None, notify_type: NotifyType = ...) -> bool: ...

class Apprise:
    @staticmethod
    def instantiate(url: str) -> NotifyBase | None: ...
