import os
import select
import socket
import threading

total = sum(range(100000))
with open("note", "wb") as file:
    file.write(bytes(bytearray(4 << 20))[:4096])
size = os.stat("note").st_size
threads = [threading.Thread(target=lambda: None) for _ in range(4)]
for thread in threads:
    thread.start()
    thread.join()
pipes = [os.pipe() for _ in range(10)]
ours, theirs = socket.socketpair()
child = os.fork()
if child == 0:
    theirs.sendall(b"ping")
    os._exit(0)
with select.epoll() as poll:
    poll.register(ours, select.EPOLLIN)
    poll.poll()
os.waitpid(child, 0)
print(total, size, 2 * len(pipes), ours.recv(4).decode(), flush=True)
