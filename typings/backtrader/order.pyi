class OrderData:
    dt: float
    size: float
    price: float

class Order:
    Completed: int
    status: int
    executed: OrderData
