"""Sections: the labs that live in a page, in their order, each with the words around it."""

from collections import namedtuple

Section = namedtuple("Section", "lab title short says tries")

SECTIONS = (
    Section(
        "PatchLab",
        "The patch on stage",
        "Two kernels, one traffic, in lockstep.",
        "Two machines run the same traffic, one with Linux 4.13 and one with 4.14. A small square is a page, a box is "
        "a counter, and the tag on a counter names the CPU whose cache has its line. Before you press Play: how many "
        "atomics does it take to give one page back, two levels below the root? Write a number down for each kernel.",
        (
            "Press Play and look at the counters only. When does a tag move to another CPU?",
            "Go to the next drain. Which line of the patch has just run, and what would have happened without it?",
            "Take one hunk of the patch alone. Which of the two saves the atomics, and which one bounds the stock?",
            "Under Time, let all CPUs run at once. Which line do they wait for, before the patch and after it?",
        ),
    ),
    Section(
        "PuzzleLab",
        "The patch from its lines",
        "Thirteen lines, of which five are the patch and what stands around it.",
        "The lines of both functions lie there, shuffled, and with them some that are nearly right. Put them together. "
        "What you built is run beside the kernel, and where the two part you see the shortest traffic that shows it. "
        "Which lines does the stock need, so that what comes back may stay, but not too much of it?",
        (
            "Leave the cap away. Which traffic tells, and how many calls does it take?",
            "Take `>=` instead of `>`. What does the kernel keep that yours gives away?",
            "Keep css_put_many beside refill_stock. Who puts the same references again?",
        ),
    ),
    Section(
        "StockLab",
        "The stock of one CPU",
        "A drawer, its owner, and when it helps.",
        "Each CPU keeps a few pages that are charged already. A charge that finds its pages there touches no counter. "
        "Of a hundred single pages, how many will walk up to the counters?",
        (
            "Let two cgroups take turns. What does the stock do for them?",
            "Charge 20 pages at a time. Why is every second call a trip?",
            "Charge 33 pages at a time, and say what the drawer is good for then.",
        ),
    ),
    Section(
        "CounterLab",
        "Counters and a limit",
        "Who refuses a charge, and what does that cost?",
        "A charge walks from its cgroup up to the root and adds itself to every counter. One level has a limit. When "
        "it refuses, the levels below it have counted already. What does a charge cost that nobody gets?",
        (
            "Move the limit one level up. How many atomics more does a refusal take?",
            "Find the charge that is refused at first and fits in the end. Who gave way?",
            "Charge for a socket. Why is nothing turned away?",
        ),
    ),
    Section(
        "DriftLab",
        "How far the counter is ahead",
        "The price of a stock, and its bound.",
        "What lies in a stock is charged and used by nobody, so the counter says more than is in use. By how many "
        "pages can four CPUs put it ahead, before the patch and after it?",
        (
            "Double the CPUs. What happens to the bound?",
            "Take the cap away. Which traffic shows what it was for?",
            "Add a level below the root. Does the drift change?",
        ),
    ),
    Section(
        "ProfileLab",
        "A profile whose rows you mark",
        "How much could be gained at most?",
        "A profile says where the CPUs stood when they were asked. If the work of some rows vanished, how much faster "
        "would the host get? These are the rows that the commit shows for the kernel before the patch.",
        (
            "Mark what has to do with giving pages back. Write the factor down before you look.",
            "Mark everything that could have to do with it, the spin locks too. How wide is the gap?",
            "Look at the column on the right. Why does every other row grow?",
        ),
    ),
    Section(
        "CostLab",
        "Which machine was it?",
        "Can the published listing come from yours?",
        "The commit names no machine. Choose one: how long a cache line travels, how deep the cgroup sits, who reads "
        "what. One number, the rate of giving back, is fitted to one row of the listing; the others are predicted. "
        "This page has the answers for some values of each setting; a notebook fits anew for any.",
        (
            "Let nobody read `parent`. Which row can no machine explain then?",
            "Add counters up to the root. Which row comes nearer, and which one goes away?",
            "You find a machine that explains every row. Did you find the one of the commit?",
        ),
    ),
    Section(
        "ContentionLab",
        "From 1 CPU to 256",
        "Where does a host meet a wall?",
        "Many CPUs want the same cache lines. The curve is what a simulated host of up to 256 CPUs gets done, before "
        "the patch and after it; drag the upright line, and the bars show where the time goes. At how many CPUs will "
        "the curve before the patch stop following the other one?",
        (
            "Halve the think time. Which curve moves, and why not the other one?",
            "Let all words of a counter share one line, as in v4.13. Which line is the busiest, and what is left of "
            "the gain?",
            "Find the traffic for which the patch gains nothing.",
        ),
    ),
    Section(
        "MeasureLab",
        "A measured CPU",
        "Real atomics, before and after.",
        "No model here: real threads charged and gave back through both rules, on the machine that is named. To "
        "measure yours takes Python.",
        (
            "With one thread, by how much does each level below the root make a pair longer before the patch?",
            "With two threads, why do the bars after the patch hardly grow?",
            "Which of these numbers would you not trust on a virtual machine, and why?",
        ),
    ),
    Section(
        "TraceLab",
        "A recording of a real kernel",
        "Two thousand events, and what the rules had said.",
        "A real kernel was recorded while it moved data between two sockets. The rules of this library walk along and "
        "say, before each event, what the stock of that CPU must hold. How often will they be wrong?",
        (
            "Go to the next drain. Who asked for it, and how many pages went back?",
            "Compare the recording without the patch. How far does the counter run ahead in each?",
            "Take the tight limit. What do the stocks do when memory is short?",
        ),
    ),
    Section(
        "RoomLab",
        "The room's answers on the wall",
        "What a class has predicted, by misconception.",
        "For a teacher, or for two friends. Each reader writes a prediction down and says its code; paste the codes "
        "here. They hold no name, and nothing is sent anywhere. First the answers stand there without a word. Once the "
        "run has been shown, each one is put to the thought that leads there.",
        (
            "Write a prediction down in a notebook, say `room_code` of it, and paste the code.",
            "Type a letter of it wrong. What does the lab say?",
            "Say what came out. Which of the wrong answers had you thought of?",
        ),
    ),
)
